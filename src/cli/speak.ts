/** voxpod speak: text to speech, with the voice of a recording. */
import { readFile, stat } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { Option, type Command } from 'commander';
import { openEncoder, type AudioFormat } from '../../lib/audio/encode.js';
import { concatenate } from '../../lib/audio/pcm.js';
import { spectrogramPng } from '../../lib/audio/spectrogram.js';
import { ArgumentError } from '../../lib/errors.js';
import { parseScript } from '../../lib/f5/script.js';
import {
  findEdits,
  Voice,
  type F5TTS,
  type FlowOptions,
  type NamedVoice,
  type SpeakOptions,
  type SpeechBlock,
  type SpeechSummary,
} from '../../lib/index.js';
import { ModelPool } from '../models/pool.js';
import { ModelStore } from '../models/store.js';
import { publishFile } from '../storage/publish.js';
import { whisperTranscriber } from '../voices/hearing.js';
import {
  VoiceLibrary,
  readVoiceFolder,
  settingsOptions,
  type NamedVoiceFiles,
} from '../voices/voice_library.js';
import { untilInterrupted } from './interrupt.js';
import { ProgressBar } from './progress.js';
import { SoundOutput } from './sound_output.js';
import { askedEdits, edit, editOptions, shownEdits, type AskedEdits } from './speak_edit.js';
import { FORMATS, formatOf, rate, speakOptions, type Options } from './speak_options.js';
import { count, given, number, seed } from './transcribe_options.js';

export function register(program: Command): void {
  program
    .command('speak')
    .description('say a text with the voice of a recording (F5-TTS)')
    .argument('<text>', 'a text, a file of text, or - for standard input')
    .option('-m, --model <name>', 'name, repository of the Hugging Face hub, or folder', 'f5-tts')
    .option('-r, --reference <file>', 'recording of the voice, a few seconds long, in any format')
    .option('-t, --reference-text <text>', 'what is said in it; heard by Whisper where absent')
    .option('-v, --voice <name>', 'a voice of VOXPOD_VOICES, or the folder of one')
    .option(
      '-e, --edit <span>',
      'speak only this part of the reference anew, START-END or START-END:SECONDS, so that the whole of it says the text; several times for several parts; auto: where the text differs from what is heard',
      edit,
    )
    .option('-o, --output <file>', 'where the sound goes; standard output where absent')
    .addOption(
      new Option(
        '-f, --format <format>',
        "of the sound; default by the output's name, else wav",
      ).choices(FORMATS),
    )
    .option('--sample-rate <hertz>', 'of the sound, 8000 to 48000', rate, 24_000)
    .option('--spectrogram <file>', 'draw the spectrogram into a PNG file')
    .option('--seed <number>', 'the same seed gives the same sound; random where absent', seed)
    .option('--steps <count>', 'of the flow, 1 to 128, default 32; 16 and 7 are faster', count)
    .option('--cfg-strength <number>', 'how closely to follow text and voice; default 2', number)
    .option('--sway <number>', 'bends the schedule, -1 (default) to 1; 0: even steps', number)
    .addOption(
      new Option(
        '--method <method>',
        'to solve the flow with: euler where absent; midpoint takes twice as long',
      ).choices(['euler', 'midpoint']),
    )
    .option('--speed <factor>', 'rate of speech; 2 is twice as fast', number)
    .option('--duration <seconds>', 'that the speech is to take', number)
    .option('--cross-fade <seconds>', 'over which chunks are joined; default 0.15', number)
    .option('--remove-silence', 'cut silence of more than a second')
    .option(
      '--target-rms <level>',
      'loudness that a quieter reference is raised to; default 0.1',
      number,
    )
    .option('--no-normalize', 'leave numbers, dates and abbreviations as they are')
    .option('--whisper <name>', 'the Whisper that hears a reference without text', 'base')
    .option('--vocoder <name>', "name or folder; default the model's own")
    .option('--vocabulary <file>', "vocab.txt; default the model's own")
    .addOption(
      new Option(
        '--model-version <version>',
        'of a checkpoint that does not say it itself',
      ).choices(['v1', 'v0', 'e2']),
    )
    .option('--device <device>', 'cpu, cuda or cuda:N', 'cpu')
    .addOption(
      new Option('--dtype <type>', 'type to compute in')
        .choices(['auto', 'float32', 'bfloat16', 'float16'])
        .default('auto'),
    )
    .option('--threads <count>', 'CPU threads; one for each core where absent', count)
    .action((text: string, options: Options) =>
      untilInterrupted((signal) => speak(text, options, signal)),
    );
}

async function speak(argument: string, options: Options, signal: AbortSignal): Promise<void> {
  const format = formatOf(options);
  // Wrong options are known before a model is loaded.
  openEncoder({ format, sampleRate: options.sampleRate });
  if (options.output === undefined && process.stdout.isTTY) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      'Standard output is a terminal, where sound is noise: give --output FILE',
    );
  }
  const asked = askedEdits(options);
  const text = await readText(argument, signal);
  const progress = new ProgressBar();
  const log = (line: string): void => progress.line(line);
  const store = new ModelStore({ log: { info: log, warn: log } });
  const { device, dtype, threads, vocoder, vocabulary, modelVersion: version } = options;
  // One model at a time: Whisper has heard the reference before there is anything to say.
  const pool = new ModelPool({
    ...{ store, device, dtype, maxModels: 1 },
    ...given({ threads }),
    speech: given({ vocoder, vocabulary, version }),
  });
  try {
    const make =
      asked === undefined
        ? await speaking(text, options, pool, signal)
        : await editing(text, options, asked, { pool, signal, log });
    const lease = await pool.acquireSpeech(options.model, {
      signal,
      onProgress: ({ phase, bytes, total }) => {
        const label = phase === 'load' ? 'Loading' : 'Fetching';
        if (phase !== 'wait') progress.update(`${label} ${options.model}`, bytes, total, 'bytes');
      },
    });
    progress.clear();
    const blocks = make(lease.speech, {
      signal,
      onProgress: ({ fraction, chunks }) =>
        progress.update('Speaking', fraction * chunks, chunks, 'chunks'),
    });
    const started = performance.now();
    const summary = await deliver(lease.speech, blocks, { ...options, format }, signal);
    const seconds = (performance.now() - started) / 1000;
    for (const warning of summary.warnings) log(warning);
    log(
      `${summary.duration.toFixed(1)} s of sound in ${seconds.toFixed(1)} s, ${summary.chunks.length} ${summary.chunks.length === 1 ? 'chunk' : 'chunks'}, seed ${summary.seed}`,
    );
  } finally {
    progress.clear();
    await pool.dispose();
  }
}

type Blocks = AsyncGenerator<SpeechBlock, SpeechSummary, undefined>;

/** What the model is to do once it is loaded. */
type Make = (speaker: F5TTS, more: Pick<FlowOptions, 'signal' | 'onProgress'>) => Blocks;

async function speaking(
  text: string,
  options: Options,
  pool: ModelPool,
  signal: AbortSignal,
): Promise<Make> {
  const { settings, ...voices } = await prepareVoices(text, options, pool, signal);
  // Nobody waits for the first words of a file.
  const shortStart = options.output === undefined;
  const chosen = { ...settings, ...speakOptions(options), ...voices, shortStart };
  return (speaker, more) => speaker.stream(text, { ...chosen, ...more });
}

interface Editing {
  pool: ModelPool;
  signal: AbortSignal;
  log: (line: string) => void;
}

async function editing(
  text: string,
  options: Options,
  { recording, edits: asked }: AskedEdits,
  { pool, signal, log }: Editing,
): Promise<Make> {
  parseScript(text);
  let edits = asked;
  if (edits === 'auto') {
    const { whisper, referenceText: originalText } = options;
    const transcriber = whisperTranscriber(pool, whisper);
    edits = await findEdits(recording, { text, ...given({ originalText }), transcriber, signal });
    log(`Found: ${shownEdits(edits)}`);
  }
  const chosen = { ...editOptions(options), text, edits };
  return async function* (speaker, more) {
    const { samples, ...summary } = await speaker.edit(recording, { ...chosen, ...more });
    yield { samples };
    return summary;
  };
}

/** Writes sound out as it comes, and draws it where that is asked for. */
async function deliver(
  speaker: F5TTS,
  blocks: Blocks,
  { output, format, sampleRate, spectrogram }: Options & { format: AudioFormat },
  signal: AbortSignal,
): Promise<SpeechSummary> {
  const sound = await SoundOutput.open({ output, format, sampleRate, signal });
  // A spectrogram is of the whole.
  const kept: Float32Array[] = [];
  try {
    let step = await blocks.next();
    for (; step.done !== true; step = await blocks.next()) {
      const { samples } = step.value;
      if (spectrogram !== undefined) kept.push(samples);
      await sound.write(samples);
    }
    await sound.finish();
    if (spectrogram !== undefined) {
      const mel = await speaker.mel(concatenate(kept));
      await publishFile(spectrogram, await spectrogramPng(mel, speaker.info.geometry.mels));
    }
    return step.value;
  } finally {
    await sound.close();
    await blocks.return(undefined as never);
  }
}

async function readText(argument: string, signal: AbortSignal): Promise<string> {
  if (argument === '-') return readAll(process.stdin);
  // A text is no path, mostly; one that is too long for a path cannot be one.
  const status = await stat(argument).catch(() => undefined);
  return status?.isFile() === true ? readFile(argument, { encoding: 'utf8', signal }) : argument;
}

interface Prepared {
  voice: Voice;
  voices: Record<string, NamedVoice>;
  /** Of the main voice. */
  settings: Omit<SpeakOptions, 'voice' | 'voices'>;
}

/** The voices that the text is said with. Whisper's lease ends with this. */
async function prepareVoices(
  text: string,
  options: Options,
  pool: ModelPool,
  signal: AbortSignal,
): Promise<Prepared> {
  const transcriber = whisperTranscriber(pool, options.whisper);
  const library = VoiceLibrary.fromEnvironment();
  const prepare = ({ audio, text: said, settings }: VoiceFiles): Promise<Voice> => {
    const targetRms = options.targetRms ?? settings.target_rms;
    return Voice.prepare(audio, { ...given({ text: said, targetRms }), transcriber, signal });
  };
  const voices: Record<string, NamedVoice> = {};
  for (const part of parseScript(text, { voices: await library.names() })) {
    if (!('voice' in part) || part.voice in voices) continue;
    const files = await library.find(part.voice);
    voices[part.voice] = { voice: await prepare(files), ...given({ speed: files.settings.speed }) };
  }
  const files = await mainVoice(options, library);
  return { voice: await prepare(files), voices, settings: settingsOptions(files.settings) };
}

type VoiceFiles = Pick<NamedVoiceFiles, 'audio' | 'text' | 'settings'>;

async function mainVoice(
  { voice, reference, referenceText }: Options,
  library: VoiceLibrary,
): Promise<VoiceFiles> {
  if ((voice === undefined) === (reference === undefined)) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      'Give the voice to speak with: either --reference FILE, a recording of it, or --voice NAME',
    );
  }
  if (reference !== undefined) return { audio: reference, text: referenceText, settings: {} };
  if (referenceText !== undefined) {
    throw new ArgumentError('INVALID_ARGUMENT', '--reference-text belongs to --reference');
  }
  const isFolder = (await stat(voice ?? '').catch(() => undefined))?.isDirectory() === true;
  return isFolder ? readVoiceFolder(voice ?? '') : library.find(voice ?? '');
}
