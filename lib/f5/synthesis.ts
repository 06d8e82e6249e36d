/**
 * Speaks utterances one after another: several are computed together and come in their order, each
 * as it would come alone.
 */
import { amplify } from '../audio/loudness.js';
import type { Call } from '../calls.js';
import { ModelError } from '../errors.js';
import type { F5Model, FlowRequest, NativeModule, NoiseGenerator } from '../native.js';
import { inOrder } from '../in_order.js';
import type { ResolvedFlowOptions } from './defaults.js';
import { referenceFrames, utteranceFrames } from './duration.js';
import { flowTimes } from './schedule.js';
import type { F5Tokenizer } from './tokenizer.js';
import type { Voice } from './voice.js';

export interface LoadedF5 {
  native: NativeModule;
  model: F5Model;
  tokenizer: F5Tokenizer;
  /** The mels of voices, computed once as long as they are used. */
  mels: VoiceMels;
}

/** What is said with one voice in one go. */
export interface Utterance {
  text: string;
  voice: Voice;
  speed: number;
  /** Frames of speech, where they are not to be estimated from the text. */
  frames?: number | undefined;
}

/** What an utterance came to. */
export interface SpokenUtterance {
  /** Mono at 24 kHz. */
  samples: Float32Array;
  /** [frames, mels] of it, as loud as the model made it. */
  mel: Float32Array;
}

/** How much of the work is done: the utterance's place and its own fraction. */
export type UtteranceProgress = (index: number, fraction: number) => void;

export class VoiceMels {
  readonly #model: F5Model;
  readonly #mels = new WeakMap<Voice, Float32Array>();

  constructor(model: F5Model) {
    this.#model = model;
  }

  /** [frames, mels] of the reference. */
  async of(voice: Voice, call: Call): Promise<Float32Array> {
    const known = this.#mels.get(voice);
    if (known !== undefined) return known;
    const mel = await call.run((cancellation) => this.#model.mel(voice.samples, cancellation));
    this.#mels.set(voice, mel);
    return mel;
  }
}

/** Utterances computed at once, and as many again may be done and wait for their turn. */
const atOnce = 4;

/**
 * The utterances as they are spoken. The noise is drawn in the order of the text, so that one
 * seed gives one sound; `firstAlone` computes the first by itself, since somebody waits for it.
 */
export async function* synthesize(
  loaded: LoadedF5,
  call: Call,
  utterances: Iterable<Utterance>,
  options: ResolvedFlowOptions & { firstAlone: boolean },
  progress: UtteranceProgress,
): AsyncGenerator<SpokenUtterance, void, undefined> {
  const times = flowTimes(options);
  const noise = new loaded.native.NoiseGenerator(options.seed);
  const prepared = prepare(loaded, call, utterances, noise);
  const work = ({ index, request, utterance }: Prepared): Promise<SpokenUtterance> =>
    speak(loaded, call, utterance, { ...request, times, ...flowOf(options) }, (fraction) =>
      progress(index, fraction),
    );
  if (options.firstAlone) {
    const first = await prepared.next();
    if (first.done === true) return;
    yield await work(first.value);
  }
  yield* inOrder(prepared, atOnce, work);
}

interface Prepared {
  index: number;
  utterance: Utterance;
  request: Omit<FlowRequest, 'times' | 'method' | 'guidance'>;
}

function flowOf({ method, cfgStrength }: ResolvedFlowOptions) {
  return { method, guidance: cfgStrength };
}

async function* prepare(
  loaded: LoadedF5,
  call: Call,
  utterances: Iterable<Utterance>,
  noise: NoiseGenerator,
): AsyncGenerator<Prepared, void, undefined> {
  const { mels } = loaded.model.geometry;
  let index = 0;
  for (const utterance of utterances) {
    const { voice, text, speed } = utterance;
    const condition = await loaded.mels.of(voice, call);
    const referenceText = paddedText(voice.text);
    const tokens = await loaded.tokenizer.encode(referenceText + text);
    const frames = utteranceFrames({
      ...{ referenceSamples: voice.samples.length, melFrames: condition.length / mels },
      ...{ referenceText, text, tokens: tokens.length, speed, speechFrames: utterance.frames },
    });
    yield {
      ...{ index, utterance },
      request: { condition, tokens, frames, noise: noise.draw(frames * mels) },
    };
    index += 1;
  }
}

/** One more blank behind what ends in ASCII, as the reference has it; it counts for the pace. */
function paddedText(text: string): string {
  return text.charCodeAt(text.length - 1) < 0x80 ? `${text} ` : text;
}

async function speak(
  loaded: LoadedF5,
  call: Call,
  { voice }: Utterance,
  request: FlowRequest,
  progress: (fraction: number) => void,
): Promise<SpokenUtterance> {
  const { model } = loaded;
  const whole = await computeMel(loaded, call, request, progress);
  const mel = whole.subarray(referenceFrames(voice.samples.length) * model.geometry.mels);
  const samples = await call.run((cancellation) => model.vocode(mel, cancellation));
  return { samples: amplify(samples, 1 / voice.gain), mel };
}

/**
 * The mel that the flow comes to.
 * @throws ModelError MODEL_INVALID where it is no sound
 */
export async function computeMel(
  { model }: Pick<LoadedF5, 'model'>,
  call: Call,
  request: FlowRequest,
  progress: (fraction: number) => void,
): Promise<Float32Array> {
  const onProgress = call.listener(progress);
  const mel = await call.run((cancellation) => model.sample(request, onProgress, cancellation));
  // Weights that are no numbers, or a type too small for them.
  if (mel.every(Number.isFinite)) return mel;
  throw new ModelError(
    'MODEL_INVALID',
    'The model computed no sound but NaN. Its weights are damaged, or do not fit the type: load it again, with dtype float32.',
  );
}
