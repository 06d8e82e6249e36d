/** One transcription: the seek loop over a loaded model. */
import { splitWords } from '../text/words.js';
import type { Call } from './calls.js';
import type { ResolvedTranscribeOptions } from './defaults.js';
import { PromptHistory } from './prompt.js';
import { Recording, detectLanguage, type LoadedWhisper } from './recording.js';
import { seekLoop } from './seek_loop.js';
import { clipFrames, secondsAt, windowFrames } from './segments.js';
import type { AudioSource, Segment, Transcript } from './types.js';
import { headTokens, promptTokens, windowDecoder } from './window_decoder.js';
import { timeWords, type WordTiming } from './words.js';

/** Times the words of a window's text tokens. */
function windowAligner(
  { model, tokenizer }: LoadedWhisper,
  call: Call,
  recording: Recording,
  head: readonly number[],
  language: string,
) {
  const { endOfText, noTimestamps } = tokenizer.special;
  return async (seek: number, size: number, tokens: readonly number[]): Promise<WordTiming[]> => {
    const words = splitWords(tokens, language, (run) => tokenizer.decode(run));
    const window = await recording.window(seek, size);
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
  const recording = await Recording.open(model, call, audio, detects);
  const detection = detects ? await detectLanguage(loaded, call, recording) : undefined;
  const language = options.language ?? detection?.language ?? 'en';

  const history = new PromptHistory(
    promptTokens(tokenizer, options.initialPrompt),
    options.carryInitialPrompt,
    model.geometry.textContext,
  );
  const head = headTokens(loaded, language, options.task);
  const loop = seekLoop({
    frames: recording.frames,
    clips: clipFrames(options.clipTimestamps, recording.frames),
    timestampBegin: tokenizer.special.timestampBegin,
    framesPerTimestamp: windowFrames / model.geometry.audioContext,
    thresholds: options,
    conditionOnPreviousText: options.conditionOnPreviousText,
    history,
    decode: windowDecoder(loaded, call, recording, head, options),
    ...(options.wordTimestamps
      ? {
          words: {
            align: windowAligner(loaded, call, recording, head, language),
            prepend: options.prependPunctuations,
            append: options.appendPunctuations,
            endOfText: tokenizer.special.endOfText,
            hallucinationSilenceThreshold: options.hallucinationSilenceThreshold,
          },
        }
      : {}),
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
