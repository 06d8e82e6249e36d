/**
 * The contract of the C++ addon, kept by hand. Only `lib/binding.ts` loads what is described here.
 *
 * Conventions: PCM is mono Float32Array; times are frames of 10 ms (100 a second) or seconds where
 * said; tokens are Int32Array. Every promise settles off the addon's inference thread, and a
 * rejection is an Error whose `code` is one of `NativeErrorCode`.
 */

/** Codes that errors from the addon carry; `lib/binding.ts` maps them to the classes of errors.ts. */
export type NativeErrorCode =
  | 'INVALID_ARGUMENT'
  | 'CHECKPOINT_CORRUPT'
  | 'MODEL_NOT_FOUND'
  | 'MODEL_INVALID'
  | 'MODEL_UNSUPPORTED'
  | 'DEVICE_UNAVAILABLE'
  | 'OUT_OF_MEMORY'
  | 'QUEUE_FULL'
  | 'DISPOSED'
  | 'CANCELLED'
  | 'NATIVE_FAILURE';

/** Cancels the calls it was given to: a running one stops within a decoder step or encoder layer. */
export interface Cancellation {
  cancel(): void;
}

/**
 * Band-limited resampling (windowed sinc, Hann) of mono PCM that comes in blocks, one call at a
 * time; the result does not depend on the cuts.
 */
export interface Resampler {
  /** The samples that are decided. The array must not change before the promise settles. */
  push(pcm: Float32Array): Promise<Float32Array>;
  /** The rest. Nothing may be pushed after it. */
  finish(): Promise<Float32Array>;
}

export interface BuildInfo {
  /** torch's version, for example "2.11.0". */
  torch: string;
  /** Names of devices that can be used now: "cpu", "cuda:0", ... */
  devices: { name: string; description: string }[];
  cpu: {
    model: string;
    /** Those that the process may keep busy: a container's share of them where it has one. */
    cores: number;
    /** Those of avx2, avx512, avx512_vnni, avx512_bf16, amx_bf16, amx_int8 that the CPU has. */
    features: string[];
    /** The type that `dtype: 'auto'` takes on the CPU. */
    dtype: 'float32' | 'bfloat16' | 'int8';
  };
}

export interface WhisperGeometry {
  mels: number;
  /** Encoder positions in a window: 1500 for 30 s. */
  audioContext: number;
  /** Decoder positions: 448. */
  textContext: number;
  width: number;
  heads: number;
  encoderLayers: number;
  decoderLayers: number;
  vocabulary: number;
}

export interface WhisperLoadOptions {
  /** "cpu", "cuda", "cuda:1". */
  device: string;
  /** "auto" takes the fastest type that the device computes well. */
  dtype: 'auto' | 'float32' | 'bfloat16' | 'float16' | 'int8';
  /** Threads of the CPU engine; 0 takes one for each core that may be used. */
  threads: number;
  /** Rows decoded at once: windows, their samples and beams. */
  maxBatch: number;
  /** Requests that may wait; one more is refused with QUEUE_FULL. */
  maxQueue: number;
}

/**
 * Log-mel features of a recording that comes in blocks. They are kept until they are dropped, and
 * normalised where they are read: by the maximum of all up to `lookahead` frames behind the start.
 */
export interface FeatureStream {
  /** Frames that must have come behind a window's start before it is encoded: 10 minutes. */
  readonly lookahead: number;
  /**
   * Takes the next 16 kHz mono samples and gives the frames (10 ms) that are complete. NaN or
   * infinite samples are refused. The array is read in place, not copied: it must not change or be
   * transferred before the promise settles.
   */
  push(pcm: Float32Array, cancellation?: Cancellation): Promise<number>;
  /** The end of the recording; gives its frames, samples / 160. Nothing may be pushed after it. */
  finish(cancellation?: Cancellation): Promise<number>;
  /** Frees what lies before `frame`, in blocks, now and as it comes. */
  dropBefore(frame: number): void;
  dispose(): void;
}

/** The encoder's output for one window, as the decoder's cross-attention reads it. */
export interface EncodedWindow {
  dispose(): void;
}

export interface DecodeRequest {
  /** All tokens before the first sampled one, start-of-transcript among them. */
  prompt: Int32Array;
  /** Where start-of-transcript stands in `prompt`: the no-speech probability is read there. */
  startOfTranscript: number;
  /** Where the sampled text begins, at most prompt.length: less when the prompt ends in a prefix. */
  sampleBegin: number;
  maxTokens: number;
  /** 0 takes the most probable token. */
  temperature: number;
  /** Rows sampled at once from the same window; the one with the best mean log-probability wins. */
  bestOf: number;
  /** Beams at temperature 0; absent for greedy decoding. */
  beamSize?: number;
  /** The search ends after round(beamSize * patience) finished texts; absent 1. */
  patience?: number;
  /** Exponent of the length penalty that candidates are ranked by; absent for the mean a token. */
  lengthPenalty?: number;
  /** Logits of tokens since `sampleBegin` are divided by it (multiplied where negative); absent 1. */
  repetitionPenalty?: number;
  /** No run of so many tokens since `sampleBegin` comes twice; absent 0, off. */
  noRepeatNgramSize?: number;
  /** Seed of the sampling, an integer below 2^53. */
  seed: number;
  /** Tokens never sampled. */
  suppress: Int32Array;
  /** Tokens not sampled first (blank and end of text). */
  suppressFirst: Int32Array;
  endOfText: number;
  /** -1 where the vocabulary has none. */
  noSpeech: number;
  /** The timestamp rules, or null to decode without timestamps. */
  timestamps: {
    /** Token of 0.00 s. */
    begin: number;
    /** Token that switches timestamps off; never sampled. */
    none: number;
    /** Greatest index (of 20 ms) of the first timestamp; -1 for no limit. */
    maxInitial: number;
  } | null;
}

export interface DecodeResult {
  /** What was sampled (with the prefix before it, if any), without end of text. */
  tokens: Int32Array;
  /** Sum of log-probabilities, end of text counted, divided by tokens.length + 1. */
  averageLogProbability: number;
  noSpeechProbability: number;
}

export interface AlignRequest {
  /** Start of transcript, language and task where the model takes them, and no-timestamps. */
  head: Int32Array;
  /** Tokens of text alone, at least one. */
  text: Int32Array;
  endOfText: number;
  /** Frames of the window that hold audio. */
  frames: number;
}

export interface Alignment {
  /** Where each text token starts, and behind the last where it ends: in 20 ms of the window. */
  starts: Int32Array;
  /** Probability of each text token among all of text. */
  probabilities: Float32Array;
}

export interface WhisperModel {
  readonly geometry: WhisperGeometry;
  /** Where the weights are and in which type: device "cpu", dtype "bfloat16". */
  readonly placement: { device: string; dtype: string; weightBytes: number };
  /** Features of a recording yet to come, computed on the model's thread. */
  features(): FeatureStream;
  /**
   * Encodes `frames` frames (at most 3000) from `start`, zero-padded to a window. The features must
   * have come to `lookahead` frames behind `start`, or be finished; what is asked for behind the
   * end is then silence.
   */
  encode(
    features: FeatureStream,
    start: number,
    frames: number,
    cancellation?: Cancellation,
  ): Promise<EncodedWindow>;
  /** Probability of each of `languages` (tokens), given the start-of-transcript token. */
  detectLanguage(
    window: EncodedWindow,
    startOfTranscript: number,
    languages: Int32Array,
    cancellation?: Cancellation,
  ): Promise<Float32Array>;
  decode(
    window: EncodedWindow,
    request: DecodeRequest,
    cancellation?: Cancellation,
  ): Promise<DecodeResult>;
  /** When the tokens were spoken, by the cross-attention of the model's alignment heads. */
  align(
    window: EncodedWindow,
    request: AlignRequest,
    cancellation?: Cancellation,
  ): Promise<Alignment>;
  /** Cancels what runs and waits, then frees the model. Later calls reject with DISPOSED. */
  dispose(): Promise<void>;
}

/** One recording's way through a speech detector. Pushes are done in the order in which they come. */
export interface VadStream {
  /**
   * 16 kHz mono PCM to the probability of speech in each window of 512 samples that it completes;
   * however the recording is cut into pushes, these are the same bits. The array is read in place:
   * it must not change or be transferred before the promise settles. A push that fails or is
   * cancelled leaves the stream as it was. NaN or infinite samples are refused.
   */
  push(pcm: Float32Array, cancellation?: Cancellation): Promise<Float32Array>;
  /** The last window, padded with zeros, or nothing where no sample is left. It ends the stream. */
  finish(cancellation?: Cancellation): Promise<Float32Array>;
}

export interface VadModel {
  stream(): VadStream;
  /** Cancels what runs and waits, then frees the model. Later calls reject with DISPOSED. */
  dispose(): Promise<void>;
}

/** What a checkpoint of F5-TTS or E2-TTS does not say itself: v0 and v1 have the same tensors. */
export interface F5Architecture {
  /** Filler positions of the text embedding are zeroed around its convolutions (v1). */
  maskTextPadding: boolean;
  /** Whether rotary positions turn the first head alone (v0, E2-TTS) or all of them (v1). */
  rotaryHeads: 'first' | 'all';
  /** The tokens are spread evenly over the frames, instead of standing at their beginning. */
  averageUpsampling: boolean;
}

export interface F5LoadOptions {
  /** "cpu", "cuda", "cuda:1". */
  device: string;
  /** "auto" takes the fastest type that the device computes well. The vocoder stays in float32. */
  dtype: 'auto' | 'float32' | 'bfloat16' | 'float16';
  /** Threads of the CPU engine; 0 takes one for each core that may be used. */
  threads: number;
  /** Frames of all utterances that are computed in one step, at least one utterance. */
  maxBatchFrames: number;
  /** Requests that may wait; one more is refused with QUEUE_FULL. */
  maxQueue: number;
  architecture: F5Architecture;
}

export interface F5Geometry {
  backbone: 'dit' | 'unett';
  width: number;
  heads: number;
  layers: number;
  textWidth: number;
  /** Ids of the text: 0 up to it, one less than the rows of the embedding, whose first is filler. */
  vocabulary: number;
  /** 100. */
  mels: number;
  /** Hertz and samples of a frame: 24000 and 256. */
  sampleRate: number;
  hop: number;
  vocoder: 'vocos' | 'bigvgan';
}

/** One utterance: mel frames are [frames, mels], row after row. */
export interface FlowRequest {
  /** Mel of the reference, at most `frames` of it; the rest is zero. */
  condition: Float32Array;
  /** For each frame of the condition 1 where it is kept, 0 where it is spoken anew; absent: all kept. */
  keep?: Uint8Array;
  /** Ids of the vocabulary: the reference's text and then what is to be said. At most `frames`. */
  tokens: Int32Array;
  /** Frames in all, those of the reference among them. */
  frames: number;
  /** Where the flow begins: [frames, mels] of the normal distribution. */
  noise: Float32Array;
  /** Rising points of time of the steps, from 0 to 1: one more than there are steps. */
  times: Float32Array;
  method: 'euler' | 'midpoint';
  /** Strength of classifier-free guidance; below 1e-5 the unconditional half is not computed. */
  guidance: number;
}

/** F5-TTS or E2-TTS with its vocoder. Requests of all callers share the steps of the flow. */
export interface F5Model {
  readonly geometry: F5Geometry;
  readonly placement: { device: string; dtype: string; weightBytes: number };
  /** Mono PCM at `sampleRate` to the mel that this model's vocoder goes with: [frames, mels]. */
  mel(pcm: Float32Array, cancellation?: Cancellation): Promise<Float32Array>;
  /**
   * All frames of the utterance [frames, mels], the kept ones as they were given. `progress` gets
   * 0 to 1, once a step at most. What else shares the steps does not change the result.
   */
  sample(
    request: FlowRequest,
    progress?: (fraction: number) => void,
    cancellation?: Cancellation,
  ): Promise<Float32Array>;
  /** Mel [frames, mels] to PCM: (frames - 1) * hop samples by Vocos, frames * hop by BigVGAN. */
  vocode(mel: Float32Array, cancellation?: Cancellation): Promise<Float32Array>;
  /** Cancels what runs and waits, then frees the model. Later calls reject with DISPOSED. */
  dispose(): Promise<void>;
}

/** Numbers of the normal distribution, as torch's CPU generator draws them one array after another. */
export interface NoiseGenerator {
  /** The next `count`: those of torch.randn(count) in float32. */
  draw(count: number): Float32Array;
}

export interface NativeModule {
  info(): BuildInfo;
  Cancellation: new () => Cancellation;
  /** Rates in hertz. */
  Resampler: new (from: number, to: number) => Resampler;
  /** Loads Whisper from a Hugging Face or CTranslate2 folder; `progress` gets 0 to 1. */
  loadWhisper(
    folder: string,
    options: WhisperLoadOptions,
    progress?: (fraction: number) => void,
    cancellation?: Cancellation,
  ): Promise<WhisperModel>;
  /** Loads Silero's detector from a safetensors file, or from the folder with that file alone. */
  loadVad(path: string): Promise<VadModel>;
  /** `seed`: an integer from 0 below 2^53. */
  NoiseGenerator: new (seed: number) => NoiseGenerator;
  /**
   * Loads F5-TTS or E2-TTS from its .safetensors or .pt file, and its vocoder from the file of Vocos
   * (pytorch_model.bin, .safetensors) or BigVGAN (bigvgan_generator.pt, config.json beside it).
   */
  loadF5(
    checkpoint: string,
    vocoder: string,
    options: F5LoadOptions,
    progress?: (fraction: number) => void,
    cancellation?: Cancellation,
  ): Promise<F5Model>;
}

/** The loader addon: opens libtorch before the main addon is loaded. */
export interface LoaderModule {
  /**
   * Opens the libraries in order, globally, and returns libtorch's ABI version as 64-bit hex
   * digits ("020b000000000000"), or throws with the dynamic linker's message.
   */
  open(libraries: string[]): string;
}
