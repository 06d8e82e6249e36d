/**
 * Where a command's sound goes as it is made: to a file that is seen when it is whole, to a pipe or
 * device, or to standard output. Nothing of it is kept in memory.
 */
import { open, stat } from 'node:fs/promises';
import { openEncoder, type AudioEncoder, type AudioFormat } from '../../lib/audio/encode.js';
import { FileDraft } from '../storage/publish.js';
import { writeOut } from './standard_output.js';

export interface SoundOutputOptions {
  /** A path; undefined: standard output. */
  output: string | undefined;
  format: AudioFormat;
  /** Hertz of the file. */
  sampleRate: number;
  signal: AbortSignal;
}

/** What takes the bytes. */
interface Target {
  write(bytes: Uint8Array): Promise<void>;
  /** `head`: what its first bytes are to be, where they can still be changed. */
  finish(head: Uint8Array): Promise<void>;
  /** Does nothing where it was finished. */
  discard(): Promise<void>;
}

/** Takes samples at 24 kHz. Whoever opens one must close it. */
export class SoundOutput {
  readonly #encoder: AudioEncoder;
  readonly #target: Target;
  readonly #signal: AbortSignal;

  private constructor(encoder: AudioEncoder, target: Target, signal: AbortSignal) {
    this.#encoder = encoder;
    this.#target = target;
    this.#signal = signal;
  }

  /** @throws ArgumentError INVALID_ARGUMENT; what the file system says of the path */
  static async open(options: SoundOutputOptions): Promise<SoundOutput> {
    const { output, format, sampleRate, signal } = options;
    const encoder = openEncoder({ format, sampleRate, signal });
    const target = output === undefined ? standardOutput(signal) : await targetAt(output);
    return new SoundOutput(encoder, target, signal);
  }

  /** At the pace at which the bytes are taken. */
  async write(samples: Float32Array): Promise<void> {
    await this.#put(await this.#encoder.write(samples));
  }

  async finish(): Promise<void> {
    await this.#put(await this.#encoder.finish());
    await this.#target.finish(this.#encoder.finalHead);
  }

  /** Leaves nothing of a file that was not finished. */
  async close(): Promise<void> {
    await this.#encoder.close();
    await this.#target.discard();
  }

  async #put(bytes: Uint8Array): Promise<void> {
    this.#signal.throwIfAborted();
    await this.#target.write(bytes);
  }
}

async function targetAt(path: string): Promise<Target> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined || status.isFile()) {
    const draft = await FileDraft.create(path);
    return {
      write: (bytes) => draft.write(bytes),
      finish: async (head) => {
        await draft.overwriteStart(head);
        await draft.publish();
      },
      discard: () => draft.discard(),
    };
  }
  // A pipe or a device stays what it is. A folder is refused here.
  const handle = await open(path, 'w');
  return {
    write: (bytes) => handle.writeFile(bytes),
    finish: () => handle.close(),
    discard: () => handle.close().catch(() => undefined),
  };
}

function standardOutput(signal: AbortSignal): Target {
  return {
    write: (bytes) => writeOut(bytes, signal),
    finish: () => Promise.resolve(),
    discard: () => Promise.resolve(),
  };
}
