/**
 * Which jobs this worker ended of late, and what it posted. A platform that did not hear the result
 * may deliver the job again: the answer is posted once more instead of being computed once more.
 */
import { doneBody } from './result.js';
import type { PostedResult } from './running_job.js';

/** Long enough for a redelivery, short enough that memory stays small. */
const KEPT_MS = 600_000;
const KEPT_JOBS = 2000;
/** Of all results together, in characters; larger ones are computed again. */
const KEPT_CHARACTERS = 16 * 1024 * 1024;

interface Ended {
  at: number;
  posted: PostedResult | undefined;
  characters: number;
}

export class RecentJobs {
  /** In the order in which they ended. */
  readonly #ended = new Map<string, Ended>();
  #characters = 0;

  /**
   * Only successes are kept: a job that failed comes again because somebody asked for another try
   * (RunPod's /retry keeps the id), and so may one that was stopped.
   */
  add(id: string, posted: PostedResult | undefined): void {
    this.#delete(id);
    const kept = posted?.result.error === undefined ? posted : undefined;
    const characters = kept === undefined ? 0 : doneBody(kept.result).length;
    this.#ended.set(id, { at: performance.now(), posted: kept, characters });
    this.#characters += characters;
    const oldest = performance.now() - KEPT_MS;
    for (const [old, { at }] of this.#ended) {
      const fits = this.#ended.size <= KEPT_JOBS && this.#characters <= KEPT_CHARACTERS;
      if (fits && at >= oldest) break;
      this.#delete(old);
    }
  }

  has(id: string): boolean {
    return this.#ended.has(id);
  }

  /** The success that was posted for it. */
  result(id: string): PostedResult | undefined {
    return this.#ended.get(id)?.posted;
  }

  #delete(id: string): void {
    this.#characters -= this.#ended.get(id)?.characters ?? 0;
    this.#ended.delete(id);
  }
}
