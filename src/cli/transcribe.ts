/** voxpod transcribe: speech in files to text. */
import { mkdir } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { type Command, Option } from 'commander';
import { ArgumentError, messageOf } from '../../lib/errors.js';
import {
  formatTranscript,
  transcriptFormats,
  transcriptWriter,
  Whisper,
  type SpeechDetector,
  type Transcript,
  type TranscriptFormat,
} from '../../lib/index.js';
import { resolveTranscribeOptions } from '../../lib/whisper/defaults.js';
import { requireFamily } from '../models/catalogue.js';
import { loadDetector } from '../models/detector.js';
import { ModelStore, type ResolveOptions } from '../models/store.js';
import { publishFile } from '../storage/publish.js';
import { untilInterrupted } from './interrupt.js';
import { ProgressBar } from './progress.js';
import { writeOut } from './standard_output.js';
import {
  count,
  language,
  number,
  numbers,
  seed,
  subtitleOptions,
  temperatures,
  transcribeOptions,
  type Options,
} from './transcribe_options.js';

export function register(program: Command): void {
  program
    .command('transcribe')
    .description('transcribe audio files with Whisper')
    .argument('<file...>', 'audio in any format; other than WAV needs ffmpeg')
    .option('-m, --model <name>', 'name, repository of the Hugging Face hub, or folder', 'base')
    .option('-l, --language <language>', 'code or English name; detected where absent', language)
    .addOption(
      new Option('--task <task>', 'translate: into English')
        .choices(['transcribe', 'translate'])
        .default('transcribe'),
    )
    .addOption(
      new Option('-f, --format <format>', 'of the transcript')
        .choices(transcriptFormats)
        .default('text'),
    )
    .option('-o, --output <folder>', 'write a file for each input instead of standard output')
    .option('--device <device>', 'cpu, cuda or cuda:N', 'cpu')
    .addOption(
      new Option('--dtype <type>', 'type to compute in; int8: 8-bit weights, on a CPU')
        .choices(['auto', 'float32', 'bfloat16', 'float16', 'int8'])
        .default('auto'),
    )
    .option('--threads <count>', 'CPU threads; one for each core where absent', count)
    .option('--temperature <list>', 'one, or those to fall back to: 0,0.2,0.4', temperatures)
    .option('--best-of <count>', 'samples to choose from at temperatures above 0', count)
    .option(
      '--beam-size <count>',
      'beams of the search at temperature 0; greedy where absent',
      count,
    )
    .option('--patience <factor>', 'the search ends after beam size times this texts', number)
    .option('--length-penalty <alpha>', 'how much longer texts are favoured, 0 to 1', number)
    .option('--repetition-penalty <factor>', 'above 1: a window repeats its tokens less', number)
    .option('--no-repeat-ngram-size <count>', 'so many tokens in a row never come twice', count)
    .option('--initial-prompt <text>', 'text to prompt the first window with')
    .option('--prefix <text>', 'what the first window starts with')
    .option('--hotwords <words>', 'words to expect in every window')
    .option('--no-condition', 'do not prompt a window with the text before it')
    .option('--suppress-tokens <ids>', 'never written; -1 for the non-speech set', numbers)
    .option('--clip-timestamps <seconds>', 'parts to transcribe: start,end,start,...', numbers)
    .option('--word-timestamps', 'find when each word is spoken', false)
    .option(
      '--batch-size <count>',
      'clips of speech decoded at once, each by itself: faster',
      count,
    )
    .option('--vad', 'transcribe only what holds speech; on where --batch-size is above 1')
    .option('--no-vad', 'transcribe everything')
    .option('--multilingual', 'hear the language of each window anew', false)
    .option(
      '--hallucination-silence-threshold <seconds>',
      'skip silences longer than this around text that looks made up',
      number,
    )
    .option('--highlight-words', 'underline each word in srt and vtt as it is spoken', false)
    .option('--max-line-width <count>', 'characters of a subtitle line', count)
    .option('--max-line-count <count>', 'lines of a subtitle; with --max-line-width', count)
    .option('--max-words-per-line <count>', 'words of a subtitle', count)
    .option('--seed <number>', 'seed of the sampling', seed)
    .action(async (files: string[], options: Options) => {
      const failed = await untilInterrupted((signal) => transcribe(files, options, signal));
      if (failed > 0) process.exitCode = 1;
    });
}

/**
 * Transcribes the files in turn; resolves with how many failed. What holds for all of them (the
 * model, an option, an interruption) is thrown.
 */
async function transcribe(files: string[], options: Options, signal: AbortSignal): Promise<number> {
  const { output, format } = options;
  const layout = subtitleOptions(options);
  // Wrong options are known before a model is loaded.
  transcriptWriter(format, layout);
  const { vad } = resolveTranscribeOptions(transcribeOptions(options));
  const names = output === undefined ? [] : outputNames(files, format);
  if (output !== undefined) await mkdir(output, { recursive: true });
  const progress = new ProgressBar();
  const { whisper, detector, release } = await load(options, vad !== undefined, signal, progress);
  let failed = 0;
  try {
    for (const [index, file] of files.entries()) {
      if (files.length > 1 && output === undefined) progress.line(`== ${file}`);
      try {
        const started = performance.now();
        const transcript = await transcribeFile(
          whisper,
          file,
          { ...options, ...(detector && { detector }) },
          signal,
          progress,
        );
        if (output !== undefined) {
          const path = join(output, names[index] ?? '');
          await publishFile(path, formatTranscript(transcript, format, layout));
        }
        progress.line(summary(file, transcript, (performance.now() - started) / 1000));
      } catch (error) {
        if (signal.aborted || error instanceof ArgumentError) throw error;
        failed += 1;
        progress.line(`${file}: ${messageOf(error)}`);
      }
    }
  } finally {
    progress.clear();
    await release();
  }
  if (failed > 0 && files.length > 1) progress.line(`${failed} of ${files.length} files failed.`);
  return failed;
}

interface Loaded {
  whisper: Whisper;
  /** Absent where speech is not looked for. */
  detector?: SpeechDetector;
  /** Frees both. */
  release: () => Promise<void>;
}

/** Rows of the decoder's batch: all beams of all clips, as far as the library goes. */
function maxBatch({ batchSize = 1, beamSize = 1 }: Options): number {
  return Math.min(256, Math.max(16, batchSize * beamSize));
}

async function load(
  options: Options,
  needsDetector: boolean,
  signal: AbortSignal,
  progress: ProgressBar,
): Promise<Loaded> {
  const { model, device, dtype, threads } = options;
  const log = (line: string): void => progress.line(line);
  const store = new ModelStore({ log: { info: log, warn: log } });
  requireFamily(model, 'whisper');
  const fetching = (name: string): ResolveOptions => ({
    signal,
    onProgress: ({ phase, bytes, total }) => {
      if (phase === 'download') progress.update(`Fetching ${name}`, bytes, total, 'bytes');
    },
  });
  const releases: (() => Promise<void>)[] = [];
  const release = async (): Promise<void> => {
    for (const each of releases.splice(0).reverse()) await each();
  };
  try {
    // Held until the end: other processes may want its room.
    const held = await store.acquire(model, fetching(model));
    releases.push(() => held.release());
    progress.clear();
    const whisper = await Whisper.load(held.folder, {
      ...{ device, dtype, maxBatch: maxBatch(options), signal },
      ...(threads === undefined ? {} : { threads }),
    });
    releases.push(() => whisper.dispose());
    if (!needsDetector) return { whisper, release };
    const loaded = await loadDetector(store, log, fetching('silero-vad'));
    releases.push(() => loaded.dispose());
    progress.clear();
    return { whisper, detector: loaded.detector, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Writes to standard output as the segments come, unless they go to a file. */
async function transcribeFile(
  whisper: Whisper,
  file: string,
  options: Options & { detector?: SpeechDetector },
  signal: AbortSignal,
  progress: ProgressBar,
): Promise<Transcript> {
  const { detector } = options;
  const toStandardOutput = options.output === undefined;
  const writer = transcriptWriter(options.format, subtitleOptions(options));
  const write = async (text: string): Promise<void> => {
    if (toStandardOutput && text !== '') await writeOut(text, signal);
  };
  // On a terminal the growing text is the progress, and a bar would be drawn across it.
  const bar = !(toStandardOutput && process.stdout.isTTY && options.format !== 'json');
  const segments = whisper.segments(file, {
    ...transcribeOptions(options),
    ...(detector && { detector }),
    signal,
    onProgress: ({ position, duration }) => {
      if (bar && duration !== undefined) {
        progress.update(basename(file), position, duration, 'seconds');
      }
    },
  });
  let step = await segments.next();
  // Only now, so that a file that cannot be read leaves no empty subtitles behind.
  await write(writer.begin());
  for (; step.done !== true; step = await segments.next()) {
    await write(writer.segment(step.value));
  }
  progress.clear();
  await write(writer.end(step.value));
  return step.value;
}

/** "talk.srt" for "talk.mp3"; "talk.mp3.srt" where another input would take that name. */
function outputNames(files: string[], format: TranscriptFormat): string[] {
  const suffix = format === 'text' ? 'txt' : format;
  const short = files.map((file) => basename(file, extname(file)));
  const names = files.map((file, index) => {
    const stem = short[index] ?? '';
    const unique = short.indexOf(stem) === short.lastIndexOf(stem);
    return `${unique ? stem : basename(file)}.${suffix}`;
  });
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `Two inputs would be written to ${twice}. Transcribe them into different folders.`,
    );
  }
  return names;
}

function summary(file: string, transcript: Transcript, seconds: number): string {
  const { duration, language, detector } = transcript;
  const found = detector === undefined ? '' : `, speech found by ${detector}`;
  return `${file}: ${duration.toFixed(1)} s of audio in ${seconds.toFixed(1)} s, ${(duration / seconds).toFixed(1)}x real time, language ${language}${found}`;
}
