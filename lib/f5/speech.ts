/** Speaks a plan: its utterances joined, its pauses between them, as they are made. */
import type { Call } from '../calls.js';
import { ChunkJoiner } from './cross_fade.js';
import type { ResolvedSpeakOptions } from './defaults.js';
import { byteLength, sampleRate } from './duration.js';
import type { PlannedPart, SpeechPlan } from './plan.js';
import { SilenceRemover } from './silence_removal.js';
import { synthesize, type LoadedF5, type UtteranceProgress } from './synthesis.js';
import type { SpeakProgress, SpeechBlock, SpeechSummary, SpokenChunk } from './types.js';

export async function* speakPlan(
  loaded: LoadedF5,
  call: Call,
  { parts, warnings }: SpeechPlan,
  options: ResolvedSpeakOptions & { firstAlone: boolean },
): AsyncGenerator<SpeechBlock, SpeechSummary, undefined> {
  const utterances = parts.filter((part) => part.kind === 'chunk');
  const chunks: SpokenChunk[] = [];
  const progress = new PlanProgress(utterances, options.onProgress);
  const remover = options.removeSilence ? new SilenceRemover(sampleRate) : undefined;
  let samples = 0;
  for await (const sound of joined(loaded, call, parts, options, progress.of, (chunk) => {
    chunks.push(chunk);
    progress.done(chunks.length);
  })) {
    const kept = remover === undefined ? sound : remover.push(sound);
    samples += kept.length;
    if (kept.length > 0) yield { samples: kept };
  }
  const rest = remover?.finish() ?? new Float32Array(0);
  samples += rest.length;
  if (rest.length > 0) yield { samples: rest };
  const { seed } = options;
  return { sampleRate, seed, duration: samples / sampleRate, chunks, warnings };
}

/** The sound of all parts, as far as each is final; `spoken` hears of every chunk. */
async function* joined(
  loaded: LoadedF5,
  call: Call,
  parts: readonly PlannedPart[],
  options: ResolvedSpeakOptions & { firstAlone: boolean },
  progress: UtteranceProgress,
  spoken: (chunk: SpokenChunk) => void,
): AsyncGenerator<Float32Array, void, undefined> {
  const joiner = new ChunkJoiner({ sampleRate, crossFade: options.crossFade });
  const utterances = parts.filter((part) => part.kind === 'chunk');
  const sounds = synthesize(loaded, call, utterances, options, progress);
  for (const part of parts) {
    if (part.kind === 'pause') {
      yield joiner.pause(part.seconds);
      continue;
    }
    const step = await sounds.next();
    call.check();
    if (step.done === true) break;
    const { text, voiceName } = part;
    const { samples } = step.value;
    spoken({
      ...{ text, duration: samples.length / sampleRate },
      ...(voiceName === undefined ? {} : { voice: voiceName }),
    });
    yield joiner.push(samples);
  }
  yield joiner.finish();
}

/** Adds up how far the utterances have come, by the bytes of their texts. */
class PlanProgress {
  readonly #weights: number[];
  readonly #fractions: number[];
  readonly #report: ((progress: SpeakProgress) => void) | undefined;
  #total = 0;
  #sum = 0;
  #done = 0;

  constructor(
    utterances: readonly { text: string }[],
    report: ((progress: SpeakProgress) => void) | undefined,
  ) {
    this.#weights = utterances.map(({ text }) => byteLength(text));
    this.#fractions = utterances.map(() => 0);
    for (const weight of this.#weights) this.#total += weight;
    this.#report = report;
  }

  readonly of: UtteranceProgress = (index, fraction) => {
    this.#add(index, fraction);
    this.#tell();
  };

  /** So many utterances are spoken. */
  done(count: number): void {
    this.#done = count;
    this.#add(count - 1, 1);
    this.#tell();
  }

  #add(index: number, fraction: number): void {
    const more = fraction - (this.#fractions[index] ?? 0);
    this.#fractions[index] = fraction;
    this.#sum += more * (this.#weights[index] ?? 0);
  }

  #tell(): void {
    const chunks = this.#weights.length;
    // Sums of fractions may be a little off.
    const fraction = this.#done === chunks ? 1 : Math.min(1, this.#sum / this.#total);
    this.#report?.({ fraction, chunk: this.#done, chunks });
  }
}
