/** Decodes a window of a recording: what is asked of the addon, at which temperatures. */
import type { DecodeRequest } from '../native.js';
import { roundHalfEven, strip } from '../text/python.js';
import type { WhisperTokenizer } from '../text/tokenizer.js';
import type { Call } from '../calls.js';
import { compressionRatio } from './compression.js';
import type { ResolvedTranscribeOptions } from './defaults.js';
import { decodeWithFallback, type Attempt } from './fallback.js';
import { buildPrompt } from './prompt.js';
import { longestHead, type HeadSource } from './window_head.js';
import type { LoadedWhisper, WindowSource } from './recording.js';
import { windowSeed } from './seed.js';

const windowSeconds = 30;

/** Tokens never sampled, as openai-whisper's DecodingTask collects them. */
function suppressed(tokenizer: WhisperTokenizer, given: readonly number[]): Int32Array {
  // An empty list switches the filter off, the steering tokens included.
  if (given.length === 0) return new Int32Array(0);
  const { special } = tokenizer;
  const tokens = [
    ...given,
    ...(given.includes(-1) ? tokenizer.nonSpeechTokens : []),
    ...[special.transcribe, special.translate, special.startOfTranscript],
    ...[special.startOfPrevious, special.startOfLanguageModel, special.noSpeech],
  ];
  return Int32Array.from(new Set(tokens.filter((token) => token >= 0))).sort();
}

/** What all decodings of a transcription have in common. */
type FixedRequest = Omit<
  DecodeRequest,
  | 'prompt'
  | 'startOfTranscript'
  | 'sampleBegin'
  | 'maxTokens'
  | 'temperature'
  | 'bestOf'
  | 'beamSize'
  | 'patience'
  | 'seed'
>;

function fixedRequest(loaded: LoadedWhisper, options: ResolvedTranscribeOptions): FixedRequest {
  const { model, tokenizer } = loaded;
  const { special } = tokenizer;
  const { maxInitialTimestamp, lengthPenalty } = options;
  const precision = windowSeconds / model.geometry.audioContext;
  return {
    suppress: suppressed(tokenizer, options.suppressTokens),
    suppressFirst: options.suppressBlank
      ? Int32Array.from([...tokenizer.blankTokens, special.endOfText])
      : new Int32Array(0),
    endOfText: special.endOfText,
    noSpeech: special.noSpeech,
    ...(lengthPenalty === undefined ? {} : { lengthPenalty }),
    repetitionPenalty: options.repetitionPenalty,
    noRepeatNgramSize: options.noRepeatNgramSize,
    timestamps: options.withoutTimestamps
      ? null
      : {
          begin: special.timestampBegin,
          none: special.noTimestamps,
          maxInitial:
            maxInitialTimestamp === null ? -1 : roundHalfEven(maxInitialTimestamp / precision),
        },
  };
}

/** How a window is decoded at a temperature: a search at 0, samples above. */
function searchOf(
  temperature: number,
  { bestOf, beamSize, patience }: ResolvedTranscribeOptions,
): Pick<DecodeRequest, 'bestOf' | 'beamSize' | 'patience'> {
  if (temperature > 0) return { bestOf };
  return beamSize === undefined ? { bestOf: 1 } : { bestOf: 1, beamSize, patience };
}

/** Tokens of a text as it stands in a prompt, behind a blank; none of an empty one. */
export function promptTokens(tokenizer: WhisperTokenizer, text: string | undefined): number[] {
  const words = strip(text ?? '');
  return words === '' ? [] : tokenizer.encode(` ${words}`);
}

/**
 * Decodes a window's tokens at one temperature. `seek` and the temperature's index choose the seed.
 */
export function windowDecoder(
  loaded: LoadedWhisper,
  call: Call,
  windows: WindowSource,
  heads: HeadSource,
  options: ResolvedTranscribeOptions,
) {
  const { model, tokenizer } = loaded;
  const { special } = tokenizer;
  const { textContext } = model.geometry;
  const fixed = fixedRequest(loaded, options);
  const hotwords = promptTokens(tokenizer, options.hotwords);
  const prefix = promptTokens(tokenizer, options.prefix);
  // What is to be aligned has to fit into one pass, between the head and the end of text.
  const longest = options.wordTimestamps ? textContext - longestHead - 2 : textContext;
  const sampleLength = Math.min(longest, options.sampleLength ?? Math.floor(textContext / 2));
  let isFirst = true;

  return async (seek: number, size: number, previous: readonly number[]): Promise<Attempt> => {
    const head = await heads.of(seek, size);
    const window = await windows.window(seek, size);
    // The prefix takes the place of the hotwords, as in faster-whisper.
    const own = isFirst && prefix.length > 0 ? { prefix } : { hotwords };
    isFirst = false;
    const prompt = buildPrompt(
      {
        head: options.withoutTimestamps ? [...head.tokens, special.noTimestamps] : head.tokens,
        previous,
        ...own,
      },
      special.startOfPrevious,
      textContext,
    );
    return decodeWithFallback(options.temperatures, options, async (temperature, index) => {
      const request: DecodeRequest = {
        ...fixed,
        prompt: prompt.tokens,
        startOfTranscript: prompt.startOfTranscript,
        sampleBegin: prompt.tokens.length,
        // The last token is sampled at the last position and never read again.
        maxTokens: Math.min(sampleLength, textContext + 1 - prompt.tokens.length),
        temperature,
        ...searchOf(temperature, options),
        seed: windowSeed(options.seed, seek, index),
      };
      const decoded = await call.run((cancellation) => model.decode(window, request, cancellation));
      const tokens = [...decoded.tokens];
      return {
        tokens,
        temperature,
        avgLogProb: decoded.averageLogProbability,
        // The reference counts a stray "<|en|>" as text here.
        compressionRatio: compressionRatio(strip(tokenizer.decodeWithSpecial(tokens))),
        noSpeechProb: decoded.noSpeechProbability,
      };
    });
  };
}
