/** Packs spans of speech into chunks for a model that reads a bounded window. */
import { resolveChunkOptions } from './defaults.js';
import { vadRate, type ChunkOptions, type SpeechSpan } from './types.js';

/** Less than a sample: what differences of seconds are wrong by. */
const slack = 0.5 / vadRate;

/** A full chunk is cut at the longest silence behind this part of what it may hold. */
const earliestCut = 0.75;

/**
 * Chunks are contiguous stretches of the recording, so that a time within one is a time of the
 * recording less its start: neighbouring spans share a chunk for as long as it stays within
 * `maxSeconds` and the silence between two of them within `maxGap`. A chunk that is full ends at its
 * longest late silence, which parts sentences rather than words.
 */
export class SpeechChunks {
  readonly #options: Required<ChunkOptions>;
  /** Spans of the chunk that is filled now. */
  #open: SpeechSpan[] = [];

  /** @throws ArgumentError INVALID_ARGUMENT */
  constructor(options?: ChunkOptions) {
    this.#options = resolveChunkOptions(options);
  }

  /** Takes the next span (in order); gives the chunks that are final now. */
  push(span: SpeechSpan): SpeechSpan[] {
    const { maxSeconds, maxGap } = this.#options;
    const out: SpeechSpan[] = [];
    const last = this.#open.at(-1);
    if (last !== undefined && span.start - last.end > maxGap + slack) out.push(...this.finish());
    // A span of a caller who set no maxSpeech: in equal parts.
    const parts = Math.max(1, Math.ceil((span.end - span.start - slack) / maxSeconds));
    const length = (span.end - span.start) / parts;
    for (let i = 0; i < parts; i++) {
      const end = i === parts - 1 ? span.end : span.start + (i + 1) * length;
      this.#open.push({ start: span.start + i * length, end });
      while (end - this.#start > maxSeconds + slack) out.push(this.#cut());
    }
    return out;
  }

  finish(): SpeechSpan[] {
    return this.#open.length === 0 ? [] : [this.#close(this.#open.length)];
  }

  get #start(): number {
    return this.#open[0]?.start ?? 0;
  }

  /** The chunk of the first `count` spans. */
  #close(count: number): SpeechSpan {
    const start = this.#start;
    const end = this.#open[count - 1]?.end ?? start;
    this.#open.splice(0, count);
    return { start, end };
  }

  #cut(): SpeechSpan {
    const open = this.#open;
    const early = this.#start + earliestCut * this.#options.maxSeconds;
    let count = open.length - 1;
    let longest = -1;
    for (let i = 1; i < open.length; i++) {
      const before = open[i - 1]?.end ?? 0;
      const silence = (open[i]?.start ?? 0) - before;
      if (before >= early && silence >= longest) {
        longest = silence;
        count = i;
      }
    }
    return this.#close(count);
  }
}

/** The chunks of spans that come one by one, each as soon as it is final. */
export async function* chunkSpeech(
  spans: Iterable<SpeechSpan> | AsyncIterable<SpeechSpan>,
  options?: ChunkOptions,
): AsyncGenerator<SpeechSpan, void, undefined> {
  const chunks = new SpeechChunks(options);
  for await (const span of spans) yield* chunks.push(span);
  yield* chunks.finish();
}
