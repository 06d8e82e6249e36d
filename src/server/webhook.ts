/**
 * A job's webhook: its final status is posted to the URL that came with the request, as RunPod does
 * it. This is for development, so local and private addresses are as good as any.
 */
import { messageOf } from '../../lib/errors.js';
import { exchange } from '../runpod/http.js';
import { pause } from '../runpod/retry.js';
import { isFinal, statusOf, type StoredJob } from './job.js';

export interface WebhookOptions {
  /** Between two attempts. RunPod's: 10 s. */
  retryMs?: number;
  /** Gets a line about a webhook that did not answer with 200 in the end. */
  onFailure?: (line: string) => void;
}

/** RunPod expects 200, and tries two more times. */
const ATTEMPTS = 3;
const RETRY_MS = 10_000;
const ANSWER_MS = 10_000;

export class Webhooks {
  readonly #options: WebhookOptions;
  readonly #closing = new AbortController();

  constructor(options: WebhookOptions = {}) {
    this.#options = options;
  }

  /** Posts the job's status to `url` whenever it ends: once, and again after each retry. */
  follow(job: StoredJob, url: string): void {
    let told = false;
    job.watchers.add(() => {
      if (!isFinal(job)) told = false;
      else if (!told) {
        told = true;
        // As it is now: a retry clears the job.
        void this.#deliver(url, job.id, JSON.stringify(statusOf(job)));
      }
    });
  }

  /** Gives up what is on its way. */
  close(): void {
    this.#closing.abort();
  }

  async #deliver(url: string, jobId: string, body: string): Promise<void> {
    const { signal } = this.#closing;
    let problem = '';
    for (let attempt = 1; attempt <= ATTEMPTS && !signal.aborted; attempt += 1) {
      if (attempt > 1) await pause(this.#options.retryMs ?? RETRY_MS, signal);
      if (signal.aborted) return;
      try {
        const { status } = await exchange(url, {
          ...{ method: 'POST', headers: { 'Content-Type': 'application/json' }, body },
          ...{ timeoutMs: ANSWER_MS, signal },
        });
        if (status === 200) return;
        problem = `HTTP ${status}`;
      } catch (error) {
        problem = messageOf(error);
      }
    }
    if (signal.aborted) return;
    this.#options.onFailure?.(
      `The webhook of job ${jobId} at ${new URL(url).origin} did not take its status: ${problem}.`,
    );
  }
}
