/** Small real file systems for tests, which only root may mount, or root of a namespace of its own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Why nothing can be mounted in this process, or false. */
export const whyNoMount: string | false = (() => {
  const probe = mkdtempSync(join(tmpdir(), 'voxpod-mount-'));
  const tried = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1M', 'none', probe]);
  if (tried.status === 0) spawnSync('umount', [probe]);
  rmSync(probe, { recursive: true, force: true });
  return tried.status === 0 ? false : `no tmpfs can be mounted: ${String(tried.stderr).trim()}`;
})();

const MARK = 'VOXPOD_TEST_IN_NAMESPACE';

/** Whether this file should be run again where its user is root, because here it cannot mount. */
export const canBecomeRoot: boolean =
  whyNoMount !== false &&
  process.env[MARK] === undefined &&
  spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

/** Runs a test file in a namespace where it may mount; throws with its output when it fails. */
export function runAsRoot(file: string): void {
  execFileSync('unshare', ['-rm', process.execPath, file], {
    // Its own report on standard output, not the runner's protocol.
    env: { ...process.env, [MARK]: '1', NODE_TEST_CONTEXT: '' },
    stdio: 'pipe',
  });
}

/** A file system of that size in memory. */
export async function tmpfs(t: TestContext, bytes: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'voxpod-mount-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'none', folder]);
  t.after(async () => {
    // Lazily, for whoever has it open still.
    spawnSync('umount', ['-l', folder]);
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}
