/** F5-TTS and E2-TTS: text to speech, with the voice of a recording. */
import { loadNative } from '../binding.js';
import { concatenate } from '../audio/pcm.js';
import { Call, CallList } from '../calls.js';
import { ModelError } from '../errors.js';
import type { F5Model, NativeModule } from '../native.js';
import { checkBoolean, checkString } from '../validate.js';
import type { AudioSource } from '../audio/source.js';
import { locateF5, type F5Files } from './config.js';
import {
  resolveEditOptions,
  resolveF5Options,
  resolveSpeakOptions,
  type ResolvedSpeakOptions,
} from './defaults.js';
import { editSpeech } from './edit.js';
import { planSpeech, type SpeechPlan } from './plan.js';
import { speakPlan } from './speech.js';
import { VoiceMels, type LoadedF5 } from './synthesis.js';
import { F5Tokenizer } from './tokenizer.js';
import type {
  EditOptions,
  F5Info,
  F5Options,
  SpeakOptions,
  Speech,
  SpeechBlock,
  SpeechSummary,
  StreamOptions,
  VoiceOptions,
} from './types.js';
import { Voice } from './voice.js';

/** A loaded model. Calls may overlap: what they say is computed together, each as if alone. */
export class F5TTS {
  readonly info: F5Info;
  readonly #native: NativeModule;
  readonly #loaded: LoadedF5;
  readonly #calls = new CallList();
  #disposal: Promise<void> | undefined;

  private constructor(files: F5Files, native: NativeModule, loaded: LoadedF5) {
    const { model } = loaded;
    this.#native = native;
    this.#loaded = loaded;
    this.info = { checkpoint: files.checkpoint, ...model.placement, geometry: model.geometry };
  }

  /**
   * Loads a model from its folder, as the hub has it, or from its checkpoint.
   * @throws ArgumentError INVALID_ARGUMENT; ModelError MODEL_NOT_FOUND, MODEL_INVALID,
   * MODEL_UNSUPPORTED, CHECKPOINT_CORRUPT, TOKENIZER_INVALID; NativeError where the addon, libtorch
   * or the device fails; the signal's reason where that aborts.
   */
  static async load(folder: string, options?: F5Options): Promise<F5TTS> {
    checkString('folder', folder, 4096);
    const resolved = resolveF5Options(options);
    resolved.signal?.throwIfAborted();
    const files = await locateF5(folder, resolved.locate);
    const native = loadNative();
    const call = new Call(new native.Cancellation(), resolved.signal);
    const onProgress = call.listener(resolved.onProgress);
    try {
      const { pinyin } = resolved;
      const tokenizer = await loadTokenizer(files, pinyin);
      const nativeOptions = { ...resolved.native, architecture: files.architecture };
      const model = await call.run((cancellation) =>
        native.loadF5(files.checkpoint, files.vocoder, nativeOptions, onProgress, cancellation),
      );
      try {
        checkFit(files, tokenizer, model);
        call.check();
        return new F5TTS(files, native, { native, model, tokenizer, mels: new VoiceMels(model) });
      } catch (error) {
        await model.dispose();
        throw error;
      }
    } finally {
      call.finish();
    }
  }

  /**
   * Makes a voice of a recording: cut to 12 s at most where it is silent, its text in step with it.
   * It serves other models, too. As `Voice.prepare`, which needs no model.
   * @throws as `Voice.prepare`; NativeError DISPOSED
   */
  async voice(audio: AudioSource, options?: VoiceOptions): Promise<Voice> {
    this.#calls.check();
    return Voice.prepare(audio, options);
  }

  /**
   * Says a text of any length. `[pause:0.5s]` is silence, `[name]` changes to one of `voices`.
   * @throws ArgumentError INVALID_ARGUMENT (an unknown tag, nothing to say); ModelError MODEL_INVALID where
   * the weights give no sound; NativeError DISPOSED, QUEUE_FULL, OUT_OF_MEMORY; the signal's reason
   * where that aborts.
   */
  async speak(text: string, options: SpeakOptions): Promise<Speech> {
    const blocks = this.#run(text, options, false);
    const parts: Float32Array[] = [];
    for (;;) {
      const step = await blocks.next();
      if (step.done === true) return { samples: concatenate(parts), ...step.value };
      parts.push(step.value.samples);
    }
  }

  /**
   * The sound as it is made, from a first chunk that is kept short, or else the sound of `speak`; the
   * iterator's return value is what that gives beside the sound. Work stops while the consumer takes its time, and ends when
   * it leaves the loop. Wrong options are thrown by the call itself, all else by the iterator.
   */
  stream(
    text: string,
    options: StreamOptions,
  ): AsyncGenerator<SpeechBlock, SpeechSummary, undefined> {
    const { shortStart = true, ...rest } = options ?? {};
    return this.#run(text, rest, checkBoolean('shortStart', shortStart));
  }

  /**
   * Speaks parts of a recording anew, in its own voice: other words in their place, more, or none.
   * @throws ArgumentError INVALID_ARGUMENT; AudioError as `decodeAudio`, AUDIO_TOO_LARGE above 87 s;
   * what `speak` throws
   */
  async edit(audio: AudioSource, options: EditOptions): Promise<Speech> {
    const resolved = resolveEditOptions(options);
    return this.#call(resolved.signal, (call) => editSpeech(this.#loaded, call, audio, resolved));
  }

  /**
   * The mel spectrogram of mono samples at 24 kHz, [frames, geometry.mels], as the model's vocoder
   * has it.
   * @throws ArgumentError INVALID_ARGUMENT; NativeError DISPOSED, OUT_OF_MEMORY
   */
  async mel(samples: Float32Array): Promise<Float32Array> {
    return this.#call(undefined, (call) =>
      call.run((cancellation) => this.#loaded.model.mel(samples, cancellation)),
    );
  }

  /** Ends the calls that run, which reject with DISPOSED, and frees the model. */
  dispose(): Promise<void> {
    this.#calls.close();
    this.#disposal ??= this.#loaded.model.dispose();
    return this.#disposal;
  }

  async #call<Result>(
    signal: AbortSignal | undefined,
    work: (call: Call) => Promise<Result>,
  ): Promise<Result> {
    const call = this.#calls.begin(new this.#native.Cancellation(), signal);
    try {
      return await work(call);
    } finally {
      this.#calls.end(call);
    }
  }

  #run(
    text: string,
    options: SpeakOptions,
    shortStart: boolean,
  ): AsyncGenerator<SpeechBlock, SpeechSummary, undefined> {
    const resolved = resolveSpeakOptions(options);
    const plan = planSpeech(text, resolved, this.#loaded, shortStart);
    return this.#spoken(plan, { ...resolved, firstAlone: shortStart });
  }

  async *#spoken(
    plan: SpeechPlan,
    options: ResolvedSpeakOptions & { firstAlone: boolean },
  ): AsyncGenerator<SpeechBlock, SpeechSummary, undefined> {
    const call = this.#calls.begin(new this.#native.Cancellation(), options.signal);
    try {
      return yield* speakPlan(this.#loaded, call, plan, options);
    } finally {
      // A consumer that leaves wants nothing of what is still computed.
      call.stop(new Error('The speech was left before its end.'));
      this.#calls.end(call);
    }
  }
}

function loadTokenizer(
  { vocabulary, tokenizer }: F5Files,
  pinyin: F5Options['pinyin'],
): Promise<F5Tokenizer> {
  if (tokenizer === 'byte' || vocabulary === undefined) {
    return Promise.resolve(F5Tokenizer.bytes());
  }
  return F5Tokenizer.load(vocabulary, {
    kind: tokenizer,
    ...(pinyin === undefined ? {} : { pinyin }),
  });
}

/** @throws ModelError where the files are of different models */
function checkFit(files: F5Files, tokenizer: F5Tokenizer, { geometry }: F5Model): void {
  if (tokenizer.size !== geometry.vocabulary) {
    throw new ModelError(
      'TOKENIZER_INVALID',
      `${files.vocabulary ?? 'The bytes'} and ${files.checkpoint} are of different models: one has ${tokenizer.size} tokens, the other ${geometry.vocabulary}. Take the vocab.txt of the model's training.`,
    );
  }
  if (files.trainedWith !== undefined && files.trainedWith !== geometry.vocoder) {
    throw new ModelError(
      'MODEL_INVALID',
      `${files.checkpoint} was trained with ${files.trainedWith}, and ${files.vocoder} is ${geometry.vocoder}: what one makes of the other's mels is noise. Give the model its own vocoder.`,
    );
  }
}
