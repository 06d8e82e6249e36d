/** Silero's voice activity detector, computed by the addon. */
import { fromNative, loadNative } from '../binding.js';
import { invalidArgument } from '../errors.js';
import type { Cancellation, VadModel, VadStream } from '../native.js';
import { checkSignal, checkString } from '../validate.js';
import type { DetectorStream, SpeechDetector } from './types.js';

export class SileroDetector implements SpeechDetector {
  readonly name = 'silero';
  readonly #model: VadModel;
  #disposal: Promise<void> | undefined;

  private constructor(model: VadModel) {
    this.#model = model;
  }

  /**
   * Loads the detector of Silero's version 6 from a safetensors file, or from the folder that holds
   * no other.
   * @throws ArgumentError INVALID_ARGUMENT; ModelError MODEL_NOT_FOUND, MODEL_INVALID,
   * MODEL_UNSUPPORTED, CHECKPOINT_CORRUPT; NativeError where the addon or libtorch fails
   */
  static async load(path: string): Promise<SileroDetector> {
    checkString('path', path, 4096);
    if (path === '' || path.includes('\0')) throw invalidArgument('path', 'a path', path);
    const native = loadNative();
    try {
      return new SileroDetector(await native.loadVad(path));
    } catch (error) {
      throw fromNative(error);
    }
  }

  stream(signal?: AbortSignal): DetectorStream {
    return new SileroStream(this.#model.stream(), checkSignal('signal', signal));
  }

  /** Ends all calls with DISPOSED and frees the detector. */
  async dispose(): Promise<void> {
    this.#disposal ??= this.#model.dispose();
    await this.#disposal;
  }
}

class SileroStream implements DetectorStream {
  readonly #native: VadStream;
  readonly #signal: AbortSignal | undefined;

  constructor(native: VadStream, signal: AbortSignal | undefined) {
    this.#native = native;
    this.#signal = signal;
  }

  async push(pcm: Float32Array): Promise<Float32Array> {
    if (!(pcm instanceof Float32Array)) throw invalidArgument('pcm', 'a Float32Array', pcm);
    return await this.#run((cancellation) => this.#native.push(pcm, cancellation));
  }

  async finish(): Promise<Float32Array> {
    return await this.#run((cancellation) => this.#native.finish(cancellation));
  }

  async #run(work: (cancellation: Cancellation) => Promise<Float32Array>): Promise<Float32Array> {
    const signal = this.#signal;
    signal?.throwIfAborted();
    const cancellation = new (loadNative().Cancellation)();
    const onAbort = (): void => {
      cancellation.cancel();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      return await work(cancellation);
    } catch (error) {
      signal?.throwIfAborted();
      throw fromNative(error);
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
