/** Mono samples that come in blocks, whatever they are read from. */
import { freeArray } from './free.js';

export interface PcmSource {
  /** Hertz. */
  readonly sampleRate: number;
  /** Samples in all, where that is known before the end; a file that is cut short has fewer. */
  readonly samples: number | undefined;
  /** Seconds as the container has it, which need not be so; undefined where it says nothing. */
  readonly estimatedSeconds: number | undefined;
  /**
   * The next block, of `blockSamples` at most and one at least; undefined at the end. It is valid
   * until the next call. One call at a time.
   */
  read(): Promise<Float32Array | undefined>;
  /** Lets go of files and processes; a `read` that waits rejects. May be called again. */
  close(): Promise<void>;
}

/** 8 s at 16 kHz; half a megabyte. */
export const blockSamples = 1 << 17;

/** Samples that are there, in views of them. */
export function samplesSource(samples: Float32Array, sampleRate: number): PcmSource {
  let position = 0;
  return {
    sampleRate,
    samples: samples.length,
    estimatedSeconds: undefined,
    read() {
      if (position >= samples.length) return Promise.resolve(undefined);
      const block = samples.subarray(position, position + blockSamples);
      position += block.length;
      return Promise.resolve(block);
    },
    close: () => Promise.resolve(),
  };
}

/** All samples of a source, which is closed. */
export async function collect(source: Pick<PcmSource, 'read' | 'close'>): Promise<Float32Array> {
  const blocks: Float32Array[] = [];
  let length = 0;
  try {
    for (let block = await source.read(); block !== undefined; block = await source.read()) {
      blocks.push(block.slice());
      length += block.length;
    }
  } finally {
    await source.close();
  }
  const [only] = blocks;
  if (only !== undefined && blocks.length === 1) return only;
  const all = new Float32Array(length);
  let at = 0;
  for (const block of blocks) {
    all.set(block, at);
    at += block.length;
    freeArray(block);
  }
  return all;
}

/** One array of several. */
export function concatenate(pieces: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
