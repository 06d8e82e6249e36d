/** What a text comes to: utterances one after another, each in its voice, and pauses. */
import { chunkBytes, chunkText } from './chunks.js';
import type { ResolvedSpeakOptions } from './defaults.js';
import { byteLength, estimatedFrames, hop, sampleRate } from './duration.js';
import { normalizeText } from '../text/normalize/normalize.js';
import { parseScript } from './script.js';
import type { LoadedF5, Utterance } from './synthesis.js';

export type PlannedPart =
  | ({ kind: 'chunk'; voiceName: string | undefined } & Utterance)
  | { kind: 'pause'; seconds: number };

export interface SpeechPlan {
  parts: PlannedPart[];
  warnings: string[];
}

/** A stream's first chunk is this part of the others, so that its sound comes the earlier. */
const firstPart = 1 / 4;
const leastFirstBytes = 20;

/**
 * `shortStart`: the first chunk is kept short.
 * @throws ArgumentError INVALID_ARGUMENT
 */
export function planSpeech(
  text: string,
  options: ResolvedSpeakOptions,
  { tokenizer, model }: Pick<LoadedF5, 'tokenizer' | 'model'>,
  shortStart: boolean,
): SpeechPlan {
  const script = parseScript(text, {
    voices: [...options.voices.keys()],
    knowsSyllable: (syllable) => tokenizer.has(syllable),
  });
  const parts: PlannedPart[] = [];
  for (const part of script) {
    if (part.kind === 'pause') {
      parts.push(part);
      continue;
    }
    const named = part.voice === undefined ? undefined : options.voices.get(part.voice);
    const voice = named?.voice ?? options.voice;
    const speed = named?.speed ?? options.speed;
    const maxBytes = chunkBytes(byteLength(voice.text), voice.duration, speed);
    const firstBytes = Math.max(leastFirstBytes, Math.trunc(maxBytes * firstPart));
    const isFirst = parts.every(({ kind }) => kind === 'pause');
    const said = options.normalizeText ? normalizeText(part.text) : part.text;
    const limits = { maxBytes, ...(shortStart && isFirst ? { firstBytes } : {}) };
    for (const chunk of chunkText(said, limits)) {
      parts.push({ kind: 'chunk', text: chunk, voice, speed, voiceName: part.voice });
    }
  }
  if (options.duration !== undefined) {
    shareDuration(parts, options.duration, options.crossFade, model.geometry.vocoder);
  }
  return { parts, warnings: warningsOf(parts, tokenizer) };
}

/** Gives each chunk its part of the seconds by what it would take, the cross-fades made up for. */
function shareDuration(
  parts: readonly PlannedPart[],
  seconds: number,
  crossFade: number,
  vocoder: 'vocos' | 'bigvgan',
): void {
  const chunks = parts.filter((part) => part.kind === 'chunk');
  const joints = parts.filter(
    (part, at) => part.kind === 'chunk' && parts[at - 1]?.kind === 'chunk',
  ).length;
  const frames = ((seconds + joints * crossFade) * sampleRate) / hop;
  const natural = chunks.map(({ voice, text, speed }) =>
    estimatedFrames({
      ...{ referenceSamples: voice.samples.length, referenceText: voice.text, text, speed },
    }),
  );
  const total = natural.reduce((sum, count) => sum + count, 0);
  for (const [at, chunk] of chunks.entries()) {
    // Vocos makes a frame less than it gets.
    const extra = vocoder === 'vocos' ? 1 : 0;
    chunk.frames = Math.max(1, Math.round((frames * (natural[at] ?? 0)) / total)) + extra;
  }
}

/** What the voices have to say, and letters that the model does not know. */
function warningsOf(parts: readonly PlannedPart[], tokenizer: LoadedF5['tokenizer']): string[] {
  const chunks = parts.filter((part) => part.kind === 'chunk');
  const warnings = new Set(chunks.flatMap(({ voice }) => voice.warnings));
  return [
    ...warnings,
    ...unknownLetters(
      chunks.map(({ text }) => text),
      tokenizer,
    ),
  ];
}

/** A warning of letters that the model does not know, if there are any. */
export function unknownLetters(
  texts: readonly string[],
  tokenizer: LoadedF5['tokenizer'],
): string[] {
  const unknown = new Set<string>();
  for (const text of texts) {
    for (const [letter] of text.matchAll(/(?!\p{Script=Han})[\p{L}\p{N}]/gu)) {
      if (!tokenizer.has(letter)) unknown.add(letter);
    }
  }
  if (unknown.size === 0) return [];
  const shown = [...unknown].slice(0, 20).join(' ');
  return [`The model does not know these letters, which are not spoken: ${shown}`];
}
