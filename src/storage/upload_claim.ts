/**
 * One uploader at a time, among workers that share nothing but a bucket: an object that says who it
 * is. Where the server knows conditional writes, only one can make it; where it does not (Backblaze
 * B2), the last of those who made it at the same time counts, which each of them sees a moment later.
 * It saves double work only: two who upload the same leave the same behind.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bucket } from './bucket.js';
import { putTextIf, readText } from './bucket_objects.js';

/** A claim that was not renewed for so long is a dead worker's. */
const STALE_MS = 10 * 60_000;

export interface UploadClaim {
  /** False when another has taken over; asks the bucket at most every few minutes. */
  renew(signal: AbortSignal): Promise<boolean>;
  release(): Promise<void>;
}

export interface UploadClaimOptions {
  signal: AbortSignal;
  /** Milliseconds after which the claim that is there counts. Default 3 s. */
  settleMs?: number;
  staleMs?: number;
}

/** Undefined where somebody else is at it. */
export async function claimUpload(
  bucket: Bucket,
  key: string,
  options: UploadClaimOptions,
): Promise<UploadClaim | undefined> {
  const { signal, settleMs = 3000, staleMs = STALE_MS } = options;
  const holder = randomUUID();
  const there = await readText(bucket, key, signal);
  const gone = there !== undefined && there.ageMs > staleMs;
  if (there !== undefined && !gone) return undefined;
  if (!(await putTextIf(bucket, key, holder, { etag: there?.etag }, signal))) return undefined;
  // Longer than one write takes, so that nobody's comes after this look.
  await sleep(settleMs * (1 + Math.random() / 2), undefined, { signal });
  const isOurs = async (during: AbortSignal): Promise<boolean> =>
    (await readText(bucket, key, during))?.text === holder;
  if (!(await isOurs(signal))) return undefined;
  let renewed = performance.now();
  return {
    async renew(during) {
      if (performance.now() - renewed < staleMs / 4) return true;
      if (!(await isOurs(during))) return false;
      await bucket.put(key, holder, { signal: during });
      renewed = performance.now();
      return true;
    },
    async release() {
      // Our own time for it: what ended the upload must not keep others from theirs.
      const during = AbortSignal.timeout(10_000);
      if (await isOurs(during)) await bucket.delete(key, { signal: during });
    },
  };
}
