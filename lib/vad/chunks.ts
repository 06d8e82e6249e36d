/** Packs spans of speech into chunks for a model that reads a bounded window. */
import { resolveChunkOptions } from './defaults.js';
import { vadRate, type ChunkOptions, type SpeechSpan } from './types.js';

/** Less than a sample: what differences of seconds are wrong by. */
const slack = 0.5 / vadRate;

/**
 * Chunks are contiguous stretches of the recording, so that a time within one is a time of the
 * recording less its start: neighbouring spans share a chunk for as long as it stays within
 * `maxSeconds` and the silence between two of them within `maxGap`.
 */
export class SpeechChunks {
  readonly #options: Required<ChunkOptions>;
  #open: SpeechSpan | undefined;

  /** @throws ArgumentError INVALID_ARGUMENT */
  constructor(options?: ChunkOptions) {
    this.#options = resolveChunkOptions(options);
  }

  /** Takes the next span (in order); gives the chunks that are final now. */
  push(span: SpeechSpan): SpeechSpan[] {
    const { maxSeconds, maxGap } = this.#options;
    const open = this.#open;
    if (
      open !== undefined &&
      span.start - open.end <= maxGap + slack &&
      span.end - open.start <= maxSeconds + slack
    ) {
      open.end = span.end;
      return [];
    }
    const out = open === undefined ? [] : [open];
    // A span of a caller who set no maxSpeech: in equal parts.
    const parts = Math.max(1, Math.ceil((span.end - span.start - slack) / maxSeconds));
    const length = (span.end - span.start) / parts;
    for (let i = 0; i < parts - 1; i++) {
      out.push({ start: span.start + i * length, end: span.start + (i + 1) * length });
    }
    this.#open = { start: span.start + (parts - 1) * length, end: span.end };
    return out;
  }

  finish(): SpeechSpan[] {
    const open = this.#open;
    this.#open = undefined;
    return open === undefined ? [] : [open];
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
