/** Waits between attempts, with jitter, so that many workers do not come back all at once. */
import { setTimeout as delay } from 'node:timers/promises';

export interface RetryPolicy {
  /** Longest first wait; each further one is twice as long. */
  firstMs: number;
  /** No wait is longer. */
  maxMs: number;
  /** The waits add up to at most this: waits, because a clock jumps when FlashBoot freezes a worker. */
  totalMs: number;
}

/**
 * A finished result is worth minutes of computing, so it is offered for ten minutes: longer than a
 * platform's restart. RunPod's SDK gives up after three attempts in five seconds.
 */
export const RESULT_RETRY: RetryPolicy = { firstMs: 500, maxMs: 20_000, totalMs: 600_000 };

/** The wait before attempt `attempt` (1 for the first repeat): between half and all of the bound. */
export function backoff(attempt: number, policy: Pick<RetryPolicy, 'firstMs' | 'maxMs'>): number {
  const bound = Math.min(policy.maxMs, policy.firstMs * 2 ** Math.min(attempt - 1, 30));
  return bound * (0.5 + 0.5 * Math.random());
}

/** Sleeps, or returns at once when the signal aborts. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  await delay(milliseconds, undefined, signal ? { signal } : {}).catch(() => undefined);
}
