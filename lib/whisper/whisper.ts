/** Whisper: speech to text, in the language that is spoken or translated into English. */
import { loadNative } from '../binding.js';
import { ArgumentError, ModelError, invalidArgument } from '../errors.js';
import type { NativeModule } from '../native.js';
import { WhisperTokenizer } from '../text/tokenizer.js';
import { checkOptions, checkSignal, checkString } from '../validate.js';
import { Call, CallList } from '../calls.js';
import { checkFolder, isMultilingual } from './config.js';
import {
  resolveTranscribeOptions,
  resolveWhisperOptions,
  type ResolvedTranscribeOptions,
} from './defaults.js';
import { languageCode, languages } from './languages.js';
import { Recording, WindowSource, detectLanguage, type LoadedWhisper } from './recording.js';
import { transcribeSegments } from './transcription.js';
import type { AudioSource } from '../audio/source.js';
import type {
  LanguageDetection,
  Segment,
  TranscribeOptions,
  Transcript,
  WhisperInfo,
  WhisperOptions,
} from './types.js';

/** A loaded Whisper model. Calls may overlap: their windows are decoded in batches. */
export class Whisper {
  readonly info: WhisperInfo;
  readonly #native: NativeModule;
  readonly #loaded: LoadedWhisper;
  readonly #calls = new CallList();
  #disposal: Promise<void> | undefined;

  private constructor(folder: string, native: NativeModule, loaded: LoadedWhisper) {
    const { model, tokenizer, multilingual } = loaded;
    this.#native = native;
    this.#loaded = loaded;
    this.info = {
      folder,
      device: model.placement.device,
      dtype: model.placement.dtype,
      weightBytes: model.placement.weightBytes,
      multilingual,
      languages: multilingual ? [...tokenizer.languages.keys()] : ['en'],
      geometry: model.geometry,
    };
  }

  /**
   * Loads a model from its folder in Hugging Face or CTranslate2 layout, of any size.
   * @throws ArgumentError INVALID_ARGUMENT; ModelError MODEL_NOT_FOUND, MODEL_INVALID,
   * MODEL_UNSUPPORTED, CHECKPOINT_CORRUPT, TOKENIZER_INVALID; NativeError where the addon, libtorch
   * or the device fails; the signal's reason where that aborts.
   */
  static async load(folder: string, options?: WhisperOptions): Promise<Whisper> {
    checkString('folder', folder, 4096);
    const resolved = resolveWhisperOptions(options);
    resolved.signal?.throwIfAborted();
    await checkFolder(folder);
    const native = loadNative();
    const call = new Call(new native.Cancellation(), resolved.signal);
    const onProgress = call.listener(resolved.onProgress);
    // Before the weights, whose loading takes the most memory of all; beside them it is no faster on
    // two cores. Its failure is looked at after theirs: a folder that holds no model at all should
    // not be told that its tokenizer is missing.
    const tokenizing = WhisperTokenizer.load(folder, call.signal);
    await tokenizing.catch(() => undefined);
    try {
      const model = await call.run((cancellation) =>
        native.loadWhisper(folder, resolved.native, onProgress, cancellation),
      );
      try {
        const tokenizer = await tokenizing;
        const multilingual = await isMultilingual(folder, tokenizer);
        checkFit(tokenizer, model.geometry);
        call.check();
        return new Whisper(folder, native, { model, tokenizer, multilingual });
      } catch (error) {
        await model.dispose();
        throw error;
      }
    } finally {
      call.finish();
    }
  }

  /**
   * Transcribes a recording of any length.
   * @throws ArgumentError INVALID_ARGUMENT, LANGUAGE_UNKNOWN; AudioError as `decodeAudio`;
   * NativeError DISPOSED, QUEUE_FULL, OUT_OF_MEMORY; the signal's reason where that aborts.
   */
  async transcribe(audio: AudioSource, options?: TranscribeOptions): Promise<Transcript> {
    const segments = this.segments(audio, options);
    for (;;) {
      const step = await segments.next();
      if (step.done === true) return step.value;
    }
  }

  /**
   * The segments of a recording as they are found; the iterator's return value is the whole
   * transcript. Work stops while the consumer takes its time, and ends when it leaves the loop.
   * Wrong options are thrown by the call itself, all else by the iterator, as from `transcribe`.
   */
  segments(
    audio: AudioSource,
    options?: TranscribeOptions,
  ): AsyncGenerator<Segment, Transcript, undefined> {
    const resolved = this.#resolve(options);
    return this.#run(audio, resolved);
  }

  /**
   * The language of the first 30 s. An English-only model hears English in everything.
   * @throws as `transcribe`
   */
  async detectLanguage(
    audio: AudioSource,
    options?: { signal?: AbortSignal },
  ): Promise<LanguageDetection> {
    checkOptions('options of detectLanguage', options, ['signal']);
    const call = this.#calls.begin(
      new this.#native.Cancellation(),
      checkSignal('signal', options?.signal),
    );
    try {
      const { model, multilingual } = this.#loaded;
      const recording = await Recording.open(model, call, audio);
      if (multilingual) {
        return await detectLanguage(this.#loaded, call, new WindowSource(call, recording));
      }
      // What is no audio has no language.
      await recording.ensure(1);
      return { language: 'en', probability: 1, probabilities: { en: 1 } };
    } finally {
      this.#calls.end(call);
    }
  }

  /** Ends the calls that run, which reject with DISPOSED, and frees the model. */
  dispose(): Promise<void> {
    this.#calls.close();
    this.#disposal ??= this.#loaded.model.dispose();
    return this.#disposal;
  }

  async *#run(
    audio: AudioSource,
    options: ResolvedTranscribeOptions,
  ): AsyncGenerator<Segment, Transcript, undefined> {
    const call = this.#calls.begin(new this.#native.Cancellation(), options.signal);
    try {
      return yield* transcribeSegments(this.#loaded, call, audio, options);
    } finally {
      this.#calls.end(call);
    }
  }

  /** Options with the language as its code, checked against what this model can do. */
  #resolve(options: TranscribeOptions | undefined): ResolvedTranscribeOptions {
    const resolved = resolveTranscribeOptions(options);
    const { model, tokenizer, multilingual } = this.#loaded;
    for (const token of resolved.suppressTokens) {
      if (token >= model.geometry.vocabulary) {
        throw invalidArgument('suppressTokens', `ids below ${model.geometry.vocabulary}`, token);
      }
    }
    const code = resolved.language === undefined ? undefined : languageCode(resolved.language);
    if (!multilingual) {
      if (resolved.task === 'translate') {
        throw new ArgumentError(
          'INVALID_ARGUMENT',
          'This model knows English only and cannot translate. Use a multilingual one, such as whisper-base.',
        );
      }
      if (code !== undefined && code !== 'en') throw unknownHere(code, 'knows English only');
      return { ...resolved, language: 'en' };
    }
    if (code !== undefined && !tokenizer.languages.has(code)) {
      throw unknownHere(code, 'was not trained for it');
    }
    return { ...resolved, language: code };
  }
}

function unknownHere(code: string, reason: string): ArgumentError {
  return new ArgumentError(
    'LANGUAGE_UNKNOWN',
    `This model cannot transcribe ${languages.get(code) ?? code}: it ${reason}. Use another model, or leave the language out.`,
  );
}

/** @throws ModelError TOKENIZER_INVALID where tokenizer and weights are of different models. */
function checkFit(
  tokenizer: WhisperTokenizer,
  geometry: { vocabulary: number; audioContext: number },
): void {
  const needed = tokenizer.special.timestampBegin + geometry.audioContext + 1;
  if (needed <= geometry.vocabulary) return;
  throw new ModelError(
    'TOKENIZER_INVALID',
    `tokenizer.json and the weights are of different models: one has ${needed} tokens, the other ${geometry.vocabulary}. Download both from the same place.`,
  );
}
