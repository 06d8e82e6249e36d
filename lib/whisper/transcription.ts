/** One transcription: the seek loop over a loaded model, one window after another or in batches. */
import { splitWords } from '../text/words.js';
import type { Call } from '../calls.js';
import type { ResolvedTranscribeOptions } from './defaults.js';
import { inOrder } from '../in_order.js';
import { ProgressReporter } from './progress.js';
import { PromptHistory } from './prompt.js';
import { Recording, WindowSource, detectLanguage, type LoadedWhisper } from './recording.js';
import { seekLoop } from './seek_loop.js';
import { clipFrames, windowFrames, type Clip } from './segments.js';
import { SpeechClips } from './speech_clips.js';
import type { AudioSource } from '../audio/source.js';
import type { LanguageDetection, Segment, Transcript } from './types.js';
import { promptTokens, windowDecoder } from './window_decoder.js';
import { HeadSource } from './window_head.js';
import { timeWords, type WordTiming } from './words.js';

/** What is left of a clip with speech may be the padding behind it (0.4 s): nothing was said there. */
const paddingFrames = 50;

interface Transcription {
  loaded: LoadedWhisper;
  call: Call;
  recording: Recording;
  options: ResolvedTranscribeOptions;
  language: string;
}

/** Times the words of a window's text tokens. */
function windowAligner({ loaded, call }: Transcription, windows: WindowSource, heads: HeadSource) {
  const { model, tokenizer } = loaded;
  const { endOfText, noTimestamps } = tokenizer.special;
  return async (seek: number, size: number, tokens: readonly number[]): Promise<WordTiming[]> => {
    const head = await heads.of(seek, size);
    const words = splitWords(tokens, head.language, (run) => tokenizer.decode(run));
    const window = await windows.window(seek, size);
    const { starts, probabilities } = await call.run((cancellation) =>
      model.align(
        window,
        {
          head: Int32Array.from([...head.tokens, noTimestamps]),
          text: Int32Array.from(tokens),
          endOfText,
          frames: size,
        },
        cancellation,
      ),
    );
    return timeWords(words, starts, probabilities);
  };
}

/** The segments of clips, one after another, each window prompted with the text before it. */
async function* clipSegments(
  transcription: Transcription,
  clips: Iterable<Clip> | AsyncIterable<Clip>,
  onPosition: (frame: number) => void,
): AsyncGenerator<Segment, void, undefined> {
  const { loaded, call, recording, options } = transcription;
  const { model, tokenizer } = loaded;
  const windows = new WindowSource(call, recording);
  const heads = new HeadSource(
    ...([loaded, call, options.task, transcription.language] as const),
    options.multilingual ? windows : undefined,
  );
  const loop = seekLoop({
    reach: (frame) => recording.reach(frame),
    clips,
    shortestRest: options.vad === undefined ? 0 : paddingFrames,
    timestampBegin: tokenizer.special.timestampBegin,
    framesPerTimestamp: windowFrames / model.geometry.audioContext,
    thresholds: options,
    conditionOnPreviousText: options.conditionOnPreviousText,
    history: new PromptHistory(
      promptTokens(tokenizer, options.initialPrompt),
      options.carryInitialPrompt,
      model.geometry.textContext,
    ),
    decode: windowDecoder(loaded, call, windows, heads, options),
    ...(options.wordTimestamps
      ? {
          words: {
            align: windowAligner(transcription, windows, heads),
            prepend: options.prependPunctuations,
            append: options.appendPunctuations,
            endOfText: tokenizer.special.endOfText,
            hallucinationSilenceThreshold: options.hallucinationSilenceThreshold,
          },
        }
      : {}),
    text: (tokens) => tokenizer.decode(tokens),
    onPosition,
  });
  try {
    for await (const segment of loop) {
      yield options.multilingual ? { ...segment, language: heads.last.language } : segment;
    }
  } finally {
    windows.letGo();
  }
}

/** The segments of clips that are transcribed at once, each without the text before it. */
async function* batchedSegments(
  transcription: Transcription,
  clips: AsyncIterable<Clip>,
  onPosition: (frame: number) => void,
): AsyncGenerator<Segment, void, undefined> {
  const { options, call } = transcription;
  let isFirst = true;
  const transcribe = async (clip: Clip): Promise<[Clip, Segment[]]> => {
    const own = isFirst ? options : { ...options, prefix: undefined };
    isFirst = false;
    const segments: Segment[] = [];
    for await (const segment of clipSegments({ ...transcription, options: own }, [clip], () => {
      // Clips are done in any order: what is behind all of them is said below.
    })) {
      segments.push(segment);
    }
    return [clip, segments];
  };
  let id = 0;
  let isDone = false;
  try {
    for await (const [[, end], segments] of inOrder(clips, options.batchSize, transcribe)) {
      onPosition(end);
      for (const segment of segments) yield { ...segment, id: id++ };
    }
    isDone = true;
  } finally {
    // Nobody waits for the clips behind one that failed, or that the consumer left at.
    if (!isDone) call.stop(new Error('The transcription ended early.'));
  }
}

/** The parts of the recording to transcribe: those that were named, or those that hold speech. */
async function* clipsOf(
  recording: Recording,
  speech: SpeechClips | undefined,
  { clipTimestamps }: ResolvedTranscribeOptions,
): AsyncGenerator<Clip, void, undefined> {
  if (speech === undefined) yield* clipFrames(clipTimestamps);
  else yield* speech.of(recording);
}

async function* withFirst<Item>(
  first: IteratorResult<Item, void>,
  rest: AsyncGenerator<Item, void, undefined>,
): AsyncGenerator<Item, void, undefined> {
  if (first.done === true) return;
  yield first.value;
  yield* rest;
}

/** Yields segments as their windows are decoded, and returns all of it. */
export async function* transcribeSegments(
  loaded: LoadedWhisper,
  call: Call,
  audio: AudioSource,
  options: ResolvedTranscribeOptions,
): AsyncGenerator<Segment, Transcript, undefined> {
  const { vad, detector, batchSize } = options;
  const progress = new ProgressReporter(options.onProgress);
  const speech =
    vad === undefined ? undefined : new SpeechClips(detector, vad, batchSize > 1, call.signal);
  const recording = await Recording.open(loaded.model, call, audio, speech?.listen);
  const found = clipsOf(recording, speech, options);
  let clips: AsyncIterable<Clip> = found;

  let detection: LanguageDetection | undefined;
  if (options.language === undefined) {
    // Where speech is looked for, its language is heard where it begins.
    const first = speech === undefined ? undefined : await found.next();
    if (first !== undefined) clips = withFirst(first, found);
    const windows = new WindowSource(call, recording);
    detection = await detectLanguage(loaded, call, windows, first?.value?.[0] ?? 0);
    windows.letGo();
  }
  const language = options.language ?? detection?.language ?? 'en';

  const onPosition = (frame: number): void => {
    recording.release(frame);
    progress.report(recording.secondsAt(frame), recording.duration);
  };
  const transcribe = batchSize > 1 ? batchedSegments : clipSegments;
  const segments: Segment[] = [];
  const tokens: number[] = [];
  const transcription = { loaded, call, recording, options, language };
  for await (const segment of transcribe(transcription, clips, onPosition)) {
    segments.push(segment);
    for (const token of segment.tokens) tokens.push(token);
    progress.pause();
    yield segment;
    progress.resume();
    // The consumer may have taken its time.
    call.check();
  }
  const duration = await recording.measure();
  // What lies behind the last clip is done with.
  progress.finish(duration);
  return {
    text: loaded.tokenizer.decode(tokens),
    segments,
    language,
    ...(detection === undefined ? {} : { languageProbability: detection.probability }),
    duration,
    ...(vad === undefined ? {} : { detector: detector.name }),
  };
}
