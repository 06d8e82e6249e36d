/** The parent's side of one job that runs in another process. */
import { JobError } from '../../lib/errors.js';
import { unpackError, type ChildMessage } from './isolated_protocol.js';
import type { Job, JobContext } from './job.js';

/** What a handler returned: a value, or a generator. */
type Returned = { stream: false; value: unknown } | { stream: true };

type End = { failed: false } | { failed: true; error: unknown };

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

export class IsolatedJob {
  readonly key: number;
  readonly job: Job;
  readonly context: JobContext;
  /** Settles with what the handler returned. */
  readonly returned: Promise<Returned>;
  /** A chunk of it has gone out: run again, the job would repeat it. */
  streamed = false;
  /** Called once, at the end. */
  onEnd: () => void = () => undefined;
  readonly #ask: (what: 'next' | 'return') => void;
  #onReturned: Waiting<Returned> = { resolve: () => undefined, reject: () => undefined };
  #streams = false;
  #leaving = false;
  #chunk: Waiting<IteratorResult<unknown, undefined>> | undefined;
  #end: End | undefined;

  /** `ask` sends the job's process a word, if there is one. */
  constructor(
    key: number,
    job: Job,
    context: JobContext,
    ask: (job: IsolatedJob, what: 'next' | 'return') => void,
  ) {
    this.key = key;
    this.job = job;
    this.context = context;
    this.#ask = (what) => ask(this, what);
    this.returned = new Promise((resolve, reject) => {
      this.#onReturned = { resolve, reject };
    });
  }

  /** True when its process has nothing more to say. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** True when a run of it may be repeated: nobody has seen anything of it, and it is still wanted. */
  get repeatable(): boolean {
    return !this.streamed && !this.#leaving;
  }

  /** Takes what the process says of this job. */
  receive(message: Extract<ChildMessage, { key: number }>): void {
    switch (message.type) {
      case 'progress':
        return this.context.progress(message.value);
      case 'value':
        return this.#onValue(message.value);
      case 'stream':
        return this.#onStream();
      case 'chunk':
        this.streamed = true;
        return this.#takeChunk()?.resolve({ done: false, value: message.value });
      case 'end':
        this.#finish({ failed: false });
        return this.#takeChunk()?.resolve({ done: true, value: undefined });
      case 'error':
        return this.fail(unpackError(message.error));
    }
  }

  fail(error: unknown): void {
    if (this.ended) return;
    this.#finish({ failed: true, error });
    this.#onReturned.reject(error);
    this.#takeChunk()?.reject(error);
  }

  /** The generator's chunks: each is asked for when the one before it has been dealt with. */
  async *chunks(): AsyncGenerator<unknown, void, undefined> {
    try {
      for (;;) {
        const step = await this.#next('next');
        if (step.done === true) return;
        yield step.value;
      }
    } finally {
      if (!this.ended) await this.#leave();
    }
  }

  #onValue(value: unknown): void {
    if (this.#streams) {
      // Its process died before the first chunk, and the second time it took another way.
      return this.fail(
        new JobError(
          'ENGINE_CRASHED',
          'The process that ran the job died, and the job could not be repeated: its handler returned a generator the first time and a value the second time',
        ),
      );
    }
    this.#finish({ failed: false });
    this.#onReturned.resolve({ stream: false, value });
  }

  #onStream(): void {
    this.#streams = true;
    this.#onReturned.resolve({ stream: true });
    // In a repeated run somebody may wait for the first chunk already.
    if (this.#chunk !== undefined) this.#ask(this.#leaving ? 'return' : 'next');
  }

  #next(what: 'next' | 'return'): Promise<IteratorResult<unknown, undefined>> {
    if (this.#end?.failed === true) return Promise.reject(this.#end.error);
    if (this.#end) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#chunk = { resolve, reject };
      this.#ask(what);
    });
  }

  /** Lets the generator clean up. What goes wrong with it changes nothing any more. */
  async #leave(): Promise<void> {
    this.#leaving = true;
    try {
      while ((await this.#next('return')).done !== true);
    } catch {
      // The job's own error, or the end of its process.
    }
  }

  #finish(end: End): void {
    this.#end = end;
    this.onEnd();
  }

  #takeChunk(): Waiting<IteratorResult<unknown, undefined>> | undefined {
    const chunk = this.#chunk;
    this.#chunk = undefined;
    return chunk;
  }
}
