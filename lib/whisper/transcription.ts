/** One transcription: the seek loop over a loaded model. */
import { decodeAudio } from '../audio/decode.js';
import { freeArray } from '../audio/free.js';
import { AudioError } from '../errors.js';
import type { DecodeRequest, EncodedWindow, LogMel, WhisperModel } from '../native.js';
import { roundHalfEven, strip } from '../text/python.js';
import type { WhisperTokenizer } from '../text/tokenizer.js';
import type { Call } from './calls.js';
import { compressionRatio } from './compression.js';
import type { ResolvedTranscribeOptions } from './defaults.js';
import { decodeWithFallback, type Attempt } from './fallback.js';
import { PromptHistory, buildPrompt } from './prompt.js';
import { seekLoop } from './seek_loop.js';
import { windowSeed } from './seed.js';
import { secondsAt, windowFrames } from './segments.js';
import type { AudioSource, LanguageDetection, Segment, Transcript } from './types.js';

export interface LoadedWhisper {
  model: WhisperModel;
  tokenizer: WhisperTokenizer;
  multilingual: boolean;
}

const sampleRate = 16_000;
const samplesPerFrame = 160;
const windowSeconds = 30;

/** A recording's features, and the window of them that was encoded last. */
export class Recording {
  /** Seconds. */
  readonly duration: number;
  /** Frames of content: whole ones, 10 ms each. */
  readonly frames: number;
  readonly #model: WhisperModel;
  readonly #call: Call;
  readonly #features: LogMel;
  #window: { start: number; frames: number; encoded: EncodedWindow } | undefined;

  private constructor(model: WhisperModel, call: Call, features: LogMel, samples: number) {
    this.#model = model;
    this.#call = call;
    this.#features = features;
    this.duration = samples / sampleRate;
    this.frames = Math.floor(samples / samplesPerFrame);
  }

  /**
   * `fullWindow` pads a short recording to a window with silence.
   * @throws AudioError
   */
  static async open(
    model: WhisperModel,
    call: Call,
    audio: AudioSource,
    fullWindow: boolean,
  ): Promise<Recording> {
    const samples = await decodeAudio(audio, { sampleRate, signal: call.signal });
    if (samples.length < samplesPerFrame) {
      throw new AudioError(
        'AUDIO_EMPTY',
        `The audio has ${samples.length} samples at 16 kHz; the least that can be transcribed is 10 ms, ${samplesPerFrame} samples.`,
      );
    }
    let pcm = samples;
    const windowSamples = windowFrames * samplesPerFrame;
    if (fullWindow && pcm.length < windowSamples) {
      pcm = new Float32Array(windowSamples);
      pcm.set(samples);
    }
    const count = samples.length;
    let features: LogMel;
    try {
      features = await call.run((cancellation) => model.logMel(pcm, cancellation));
    } finally {
      // The caller's own samples stay as they are.
      const callers = typeof audio === 'object' && 'samples' in audio ? audio.samples : undefined;
      if (pcm !== callers) freeArray(pcm);
    }
    return new Recording(model, call, call.hold(features), count);
  }

  /** Encodes `frames` frames from `start`; the last one is kept, for the next temperature. */
  async window(start: number, frames: number): Promise<EncodedWindow> {
    const last = this.#window;
    if (last?.start === start && last.frames === frames) return last.encoded;
    if (last !== undefined) this.#call.letGo(last.encoded);
    this.#window = undefined;
    const encoded = this.#call.hold(
      await this.#call.run((cancellation) =>
        this.#model.encode(this.#features, start, frames, cancellation),
      ),
    );
    this.#window = { start, frames, encoded };
    return encoded;
  }
}

/**
 * The language of the first window. The recording was opened with a full window: the reference
 * detects on 30 s of audio and silence, while it transcribes short windows padded with zeros.
 */
export async function detectLanguage(
  { model, tokenizer }: LoadedWhisper,
  call: Call,
  recording: Recording,
): Promise<LanguageDetection> {
  const window = await recording.window(0, windowFrames);
  const codes = [...tokenizer.languages.keys()];
  const tokens = Int32Array.from(tokenizer.languages.values());
  const { startOfTranscript } = tokenizer.special;
  const found = await call.run((cancellation) =>
    model.detectLanguage(window, startOfTranscript, tokens, cancellation),
  );
  const ranked = codes.map((code, i): [string, number] => [code, found[i] ?? 0]);
  const [language, probability] = ranked.reduce((best, next) => (next[1] > best[1] ? next : best));
  return { language, probability, probabilities: Object.fromEntries(ranked) };
}

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
  'prompt' | 'startOfTranscript' | 'sampleBegin' | 'maxTokens' | 'temperature' | 'bestOf' | 'seed'
>;

function fixedRequest(loaded: LoadedWhisper, options: ResolvedTranscribeOptions): FixedRequest {
  const { model, tokenizer } = loaded;
  const { special } = tokenizer;
  const { maxInitialTimestamp } = options;
  const precision = windowSeconds / model.geometry.audioContext;
  return {
    suppress: suppressed(tokenizer, options.suppressTokens),
    suppressFirst: options.suppressBlank
      ? Int32Array.from([...tokenizer.blankTokens, special.endOfText])
      : new Int32Array(0),
    endOfText: special.endOfText,
    noSpeech: special.noSpeech,
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

/** The transcript's head: start, and for multilingual models language and task. */
function headTokens(
  { tokenizer, multilingual }: LoadedWhisper,
  language: string,
  options: ResolvedTranscribeOptions,
): number[] {
  const { special, languages } = tokenizer;
  const head = [special.startOfTranscript];
  const token = languages.get(language);
  if (multilingual && token !== undefined) {
    head.push(token, options.task === 'translate' ? special.translate : special.transcribe);
  }
  if (options.withoutTimestamps) head.push(special.noTimestamps);
  return head;
}

/**
 * Decodes a window's tokens at one temperature. `seek` and the temperature's index choose the seed.
 */
function windowDecoder(
  loaded: LoadedWhisper,
  call: Call,
  recording: Recording,
  head: readonly number[],
  options: ResolvedTranscribeOptions,
) {
  const { model, tokenizer } = loaded;
  const { textContext } = model.geometry;
  const fixed = fixedRequest(loaded, options);
  const sampleLength = options.sampleLength ?? Math.floor(textContext / 2);

  return async (seek: number, size: number, previous: readonly number[]): Promise<Attempt> => {
    const window = await recording.window(seek, size);
    const prompt = buildPrompt(head, previous, tokenizer.special.startOfPrevious, textContext);
    return decodeWithFallback(options.temperatures, options, async (temperature, index) => {
      const request: DecodeRequest = {
        ...fixed,
        prompt: prompt.tokens,
        startOfTranscript: prompt.startOfTranscript,
        sampleBegin: prompt.tokens.length,
        // The last token is sampled at the last position and never read again.
        maxTokens: Math.min(sampleLength, textContext + 1 - prompt.tokens.length),
        temperature,
        bestOf: temperature > 0 ? options.bestOf : 1,
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

/** Yields segments as their windows are decoded, and returns all of it. */
export async function* transcribeSegments(
  loaded: LoadedWhisper,
  call: Call,
  audio: AudioSource,
  options: ResolvedTranscribeOptions,
): AsyncGenerator<Segment, Transcript, undefined> {
  const { model, tokenizer } = loaded;
  const detects = options.language === undefined;
  const recording = await Recording.open(model, call, audio, detects);
  const detection = detects ? await detectLanguage(loaded, call, recording) : undefined;
  const language = options.language ?? detection?.language ?? 'en';

  const { initialPrompt } = options;
  const history = new PromptHistory(
    initialPrompt === undefined ? [] : tokenizer.encode(` ${strip(initialPrompt)}`),
    options.carryInitialPrompt,
    model.geometry.textContext,
  );
  const head = headTokens(loaded, language, options);
  const loop = seekLoop({
    frames: recording.frames,
    timestampBegin: tokenizer.special.timestampBegin,
    framesPerTimestamp: windowFrames / model.geometry.audioContext,
    thresholds: options,
    conditionOnPreviousText: options.conditionOnPreviousText,
    history,
    decode: windowDecoder(loaded, call, recording, head, options),
    text: (tokens) => tokenizer.decode(tokens),
    onPosition: (frame) => {
      const { duration } = recording;
      const position = frame >= recording.frames ? duration : secondsAt(frame);
      options.onProgress?.({ position, duration });
    },
  });
  const segments: Segment[] = [];
  for await (const segment of loop) {
    segments.push(segment);
    yield segment;
    // The consumer may have taken its time.
    call.check();
  }
  return {
    text: tokenizer.decode(history.transcribed()),
    segments,
    language,
    ...(detection === undefined ? {} : { languageProbability: detection.probability }),
    duration: recording.duration,
  };
}
