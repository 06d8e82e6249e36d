/**
 * One call of a model: ties the caller's AbortSignal and the model's disposal to the addon's
 * cancellation, and frees what the call holds in the addon however it ends.
 */
import { fromNative } from './binding.js';
import { NativeError, type VoxpodError } from './errors.js';
import type { Cancellation } from './native.js';

interface Disposable {
  dispose(): unknown;
}

export function disposedError(): VoxpodError {
  return new NativeError(
    'DISPOSED',
    'The model was disposed. Load it again, and dispose it after its last call.',
  );
}

export class Call {
  readonly #cancellation: Cancellation;
  readonly #signal: AbortSignal | undefined;
  readonly #controller = new AbortController();
  readonly #held = new Set<Disposable>();
  readonly #onAbort = (): void => {
    this.stop(this.#signal?.reason);
  };
  /** What the addon is at work on for this call. */
  #running = 0;

  constructor(cancellation: Cancellation, signal: AbortSignal | undefined) {
    this.#cancellation = cancellation;
    this.#signal = signal;
    if (signal?.aborted === true) this.stop(signal.reason);
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Aborts with the caller's signal and with the model's disposal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the call; what it awaits rejects with `reason`. The first reason counts. */
  stop(reason: unknown): void {
    if (this.signal.aborted) return;
    this.#controller.abort(reason);
    this.#cancellation.cancel();
    // A paused iterator may never be resumed: its memory is not held for that.
    if (this.#running === 0) this.#release();
  }

  /** Throws the reason where the call was stopped. */
  check(): void {
    this.signal.throwIfAborted();
  }

  /** Work of the addon, with its errors in voxpod's classes. */
  async run<Result>(work: (cancellation: Cancellation) => Promise<Result>): Promise<Result> {
    this.check();
    this.#running += 1;
    try {
      const result = await work(this.#cancellation);
      // It was stopped too late for the addon to notice.
      if (this.signal.aborted && isDisposable(result)) result.dispose();
      this.check();
      return result;
    } catch (error) {
      this.check();
      throw fromNative(error);
    } finally {
      this.#running -= 1;
    }
  }

  /**
   * For the addon to call: what the caller's listener throws ends this call. Thrown into the addon,
   * it would end the process.
   */
  listener<Parameters extends unknown[]>(
    listen: ((...parameters: Parameters) => void) | undefined,
  ): (...parameters: Parameters) => void {
    return (...parameters) => {
      try {
        listen?.(...parameters);
      } catch (error) {
        this.stop(error);
      }
    };
  }

  /** Keeps something of the addon until it is let go or the call ends. */
  hold<Resource extends Disposable>(resource: Resource): Resource {
    this.#held.add(resource);
    return resource;
  }

  letGo(resource: Disposable): void {
    if (this.#held.delete(resource)) resource.dispose();
  }

  /** To be called however the call ends. */
  finish(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#release();
  }

  #release(): void {
    for (const resource of this.#held) resource.dispose();
    this.#held.clear();
  }
}

function isDisposable(value: unknown): value is Disposable {
  return (
    typeof value === 'object' &&
    value !== null &&
    'dispose' in value &&
    typeof value.dispose === 'function'
  );
}

/** The calls that run on a model, so that disposing it ends them. */
export class CallList {
  readonly #calls = new Set<Call>();
  #closed = false;

  /** @throws NativeError DISPOSED */
  begin(cancellation: Cancellation, signal: AbortSignal | undefined): Call {
    this.check();
    const call = new Call(cancellation, signal);
    this.#calls.add(call);
    return call;
  }

  check(): void {
    if (this.#closed) throw disposedError();
  }

  end(call: Call): void {
    this.#calls.delete(call);
    call.finish();
  }

  close(): void {
    this.#closed = true;
    for (const call of this.#calls) call.stop(disposedError());
  }
}
