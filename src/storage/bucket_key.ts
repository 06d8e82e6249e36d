/** Keys of objects: made from what a job says, so nothing of it may lead elsewhere. */
import { randomUUID } from 'node:crypto';
import { ArgumentError } from '../../lib/errors.js';

/** Bytes of UTF-8, by the S3 API. */
const MAX_KEY_BYTES = 1024;

/** prefix/jobs/JOB/RANDOM-NAME: nobody who knows the job can guess it or overwrite another's. */
export function jobKey(prefix: string, jobId: string, name: string): string {
  const key = `jobs/${safePart(jobId)}/${randomUUID()}-${safePart(name)}`;
  return prefix === '' ? key : `${prefix}/${key}`;
}

/**
 * Servers and the clients before them disagree about "..", "." and empty parts of a path, so a key
 * with one could be another object than the one that was checked.
 */
export function isSafeKey(key: string): boolean {
  return (
    Buffer.byteLength(key) <= MAX_KEY_BYTES &&
    !key.split('/').some((part) => ['', '.', '..'].includes(part)) &&
    // eslint-disable-next-line no-control-regex -- those are what is refused
    !/[\u0000-\u001f\u007f]/.test(key)
  );
}

/** @throws ArgumentError INVALID_ARGUMENT for a key that is not safe. */
export function checkKey(key: string): string {
  if (isSafeKey(key)) return key;
  throw new ArgumentError(
    'INVALID_ARGUMENT',
    `Expected a key of at most ${MAX_KEY_BYTES} bytes without empty, "." or ".." parts but received ${JSON.stringify(key.slice(0, 100))}`,
  );
}

/** Letters, digits, "-", "_" and single dots, so that no server or shell reads more into it. */
function safePart(text: string): string {
  const safe = text
    .slice(0, 100)
    .replace(/[^A-Za-z0-9._-]+/g, '_')
    .replace(/\.{2,}/g, '_')
    .replace(/^\./, '_');
  return safe === '' ? '_' : safe;
}
