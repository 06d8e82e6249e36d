import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

let found: string | undefined;

/** Folder of voxpod's package.json, wherever below it this module was compiled or bundled to. */
export function packageRoot(): string {
  found ??= findRoot(dirname(fileURLToPath(import.meta.url)));
  return found;
}

/**
 * A compiled module by its path below dist/, as "lib/text/tokenizer_thread.js", for a thread to run.
 * It lies beside the module that asks, or, where that was bundled, in dist/ still.
 */
export function compiledFile(asking: string, path: string): string {
  const beside = join(dirname(fileURLToPath(asking)), basename(path));
  return existsSync(beside) ? beside : join(packageRoot(), 'dist', path);
}

function findRoot(start: string): string {
  for (let at = start; ; at = dirname(at)) {
    const manifest = join(at, 'package.json');
    if (existsSync(manifest) && nameIn(manifest) === 'voxpod') return at;
    if (dirname(at) === at) throw new Error(`There is no package.json of voxpod above ${start}`);
  }
}

function nameIn(manifest: string): unknown {
  const content: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
  return typeof content === 'object' && content !== null && 'name' in content
    ? content.name
    : undefined;
}
