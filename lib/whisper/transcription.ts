/** One transcription: the seek loop over a loaded model. */
import { splitWords } from '../text/words.js';
import type { Call } from './calls.js';
import type { ResolvedTranscribeOptions } from './defaults.js';
import { ProgressReporter } from './progress.js';
import { PromptHistory } from './prompt.js';
import { Recording, WindowSource, detectLanguage, type LoadedWhisper } from './recording.js';
import { seekLoop } from './seek_loop.js';
import { clipFrames, windowFrames } from './segments.js';
import type { AudioSource, Segment, Transcript } from './types.js';
import { headTokens, promptTokens, windowDecoder } from './window_decoder.js';
import { timeWords, type WordTiming } from './words.js';

/** Times the words of a window's text tokens. */
function windowAligner(
  { model, tokenizer }: LoadedWhisper,
  call: Call,
  windows: WindowSource,
  head: readonly number[],
  language: string,
) {
  const { endOfText, noTimestamps } = tokenizer.special;
  return async (seek: number, size: number, tokens: readonly number[]): Promise<WordTiming[]> => {
    const words = splitWords(tokens, language, (run) => tokenizer.decode(run));
    const window = await windows.window(seek, size);
    const { starts, probabilities } = await call.run((cancellation) =>
      model.align(
        window,
        {
          head: Int32Array.from([...head, noTimestamps]),
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

/** Yields segments as their windows are decoded, and returns all of it. */
export async function* transcribeSegments(
  loaded: LoadedWhisper,
  call: Call,
  audio: AudioSource,
  options: ResolvedTranscribeOptions,
): AsyncGenerator<Segment, Transcript, undefined> {
  const { model, tokenizer } = loaded;
  const detects = options.language === undefined;
  const progress = new ProgressReporter(options.onProgress);
  const recording = await Recording.open(model, call, audio);
  const windows = new WindowSource(call, recording);
  const detection = detects ? await detectLanguage(loaded, call, windows) : undefined;
  const language = options.language ?? detection?.language ?? 'en';

  const history = new PromptHistory(
    promptTokens(tokenizer, options.initialPrompt),
    options.carryInitialPrompt,
    model.geometry.textContext,
  );
  const head = headTokens(loaded, language, options.task);
  const loop = seekLoop({
    reach: (frame) => recording.reach(frame),
    clips: clipFrames(options.clipTimestamps),
    timestampBegin: tokenizer.special.timestampBegin,
    framesPerTimestamp: windowFrames / model.geometry.audioContext,
    thresholds: options,
    conditionOnPreviousText: options.conditionOnPreviousText,
    history,
    decode: windowDecoder(loaded, call, windows, head, options),
    ...(options.wordTimestamps
      ? {
          words: {
            align: windowAligner(loaded, call, windows, head, language),
            prepend: options.prependPunctuations,
            append: options.appendPunctuations,
            endOfText: tokenizer.special.endOfText,
            hallucinationSilenceThreshold: options.hallucinationSilenceThreshold,
          },
        }
      : {}),
    text: (tokens) => tokenizer.decode(tokens),
    onPosition: (frame) => {
      recording.release(frame);
      progress.report(recording.secondsAt(frame), recording.duration);
    },
  });
  const segments: Segment[] = [];
  for await (const segment of loop) {
    segments.push(segment);
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
    text: tokenizer.decode(history.transcribed()),
    segments,
    language,
    ...(detection === undefined ? {} : { languageProbability: detection.probability }),
    duration,
  };
}
