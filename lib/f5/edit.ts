/**
 * Parts of a recording spoken anew, in its own voice (SWivid/F5-TTS, infer/speech_edit.py). All of it
 * goes through the vocoder, what is kept too, so that no joint can be heard.
 */
import { amplify, rootMeanSquare } from '../audio/loudness.js';
import { collect } from '../audio/pcm.js';
import { resample } from '../audio/resample.js';
import { openAudio } from '../audio/stream.js';
import type { Call } from '../calls.js';
import { ArgumentError } from '../errors.js';
import { normalizeText } from '../text/normalize/normalize.js';
import type { AudioSource } from '../audio/source.js';
import type { ResolvedEditOptions } from './defaults.js';
import { hop, mostFrames, sampleRate } from './duration.js';
import { flowTimes } from './schedule.js';
import { unknownLetters } from './plan.js';
import { parseScript } from './script.js';
import { buildEdit } from './speech_edit.js';
import { computeMel, type LoadedF5 } from './synthesis.js';
import type { Speech } from './types.js';

/** What the models hold, with a frame to spare. */
const longest = Math.floor(((mostFrames - 1) * hop) / sampleRate);

export async function editSpeech(
  loaded: LoadedF5,
  call: Call,
  audio: AudioSource,
  options: ResolvedEditOptions,
): Promise<Speech> {
  const { text, edits, targetRms, seed, onProgress } = options;
  const { model, tokenizer } = loaded;
  const { mels } = model.geometry;
  const said = oneText(text, options.normalizeText, tokenizer);
  const stream = await openAudio(audio, {
    ...{ sampleRate, keepRate: true, maxSeconds: longest, signal: call.signal },
  });
  const recording = await collect(stream);
  const gain = Math.max(1, targetRms / Math.max(rootMeanSquare(recording), 1e-5));
  const samples = await resample(amplify(recording, gain), stream.sampleRate, sampleRate);
  const mel = await call.run((cancellation) => model.mel(samples, cancellation));
  const { condition, keep, frames } = buildEdit(mel, edits, { mels, maxFrames: mostFrames - 1 });
  const warnings = unknownLetters([said], tokenizer);
  const tokens = await tokenizer.encode(said);
  if (tokens.length > frames) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `The text is too long for ${((frames * hop) / sampleRate).toFixed(1)} s of sound. Give the text of the recording as it is to be, or longer durations.`,
    );
  }
  // The reference samples a frame more than it is given.
  const noise = new loaded.native.NoiseGenerator(seed).draw((frames + 1) * mels);
  const request = {
    ...{ condition, keep, tokens, frames: frames + 1, noise, times: flowTimes(options) },
    ...{ method: options.method, guidance: options.cfgStrength },
  };
  const made = await computeMel(loaded, call, request, (fraction) =>
    onProgress?.({ fraction, chunk: fraction < 1 ? 0 : 1, chunks: 1 }),
  );
  const edited = made.subarray(0, frames * mels);
  const sound = await call.run((cancellation) => model.vocode(edited, cancellation));
  const duration = sound.length / sampleRate;
  return {
    samples: amplify(sound, 1 / gain),
    ...{ sampleRate, seed, duration, chunks: [{ text: said, duration }], warnings },
  };
}

/** The text without tags but those of pinyin: it is said in one go. */
function oneText(text: string, normalize: boolean, tokenizer: LoadedF5['tokenizer']): string {
  const knowsSyllable = (syllable: string): boolean => tokenizer.has(syllable);
  const [part, ...others] = parseScript(text, { knowsSyllable });
  if (part?.kind !== 'speech' || others.length > 0) {
    throw new ArgumentError('INVALID_ARGUMENT', 'A text for speech editing has no pauses in it.');
  }
  return normalize ? normalizeText(part.text) : part.text;
}
