/** `voxpod submit`: sends a job to an endpoint, follows it, prints or saves what comes back. */
import { Option, type Command } from 'commander';
import { ArgumentError } from '../../lib/errors.js';
import { readRequest } from '../client/request.js';
import { followLink, isObject, soundIn, soundOf, type Sound } from '../client/result.js';
import { connect, failureOf, submitJob, type Endpoint } from '../client/submit.js';
import { publishFile } from '../storage/publish.js';
import { untilInterrupted } from './interrupt.js';
import { ProgressBar } from './progress.js';

interface Options {
  endpoint?: string;
  url?: string;
  model?: string;
  language?: string;
  translate?: boolean;
  format?: keyof typeof FORMATS;
  output?: string;
}

/** What the job's `transcription` says for it; JSON prints the whole output. */
const FORMATS = {
  text: 'plain_text',
  lines: 'formatted_text',
  srt: 'srt',
  vtt: 'vtt',
  json: undefined,
} as const;

export function register(program: Command): void {
  program
    .command('submit')
    .description('send a job to a RunPod endpoint, and print or save what comes back')
    .argument('<job>', 'an audio file or its URL, a .json file, or JSON: {"input": {...}}')
    .option('--endpoint <id>', 'of RunPod, whose key is taken from RUNPOD_API_KEY')
    .option('--url <url>', 'of another endpoint: http://127.0.0.1:8000/v2/local')
    .option('-m, --model <name>', 'name of the model')
    .option('-l, --language <language>', 'code or English name; detected where absent')
    .option('--translate', 'translate into English, and give that back')
    .addOption(
      new Option('-f, --format <format>', 'of the transcription').choices(Object.keys(FORMATS)),
    )
    .option('-o, --output <file>', 'write text or sound to a file, not to standard output')
    .action((job: string, options: Options) =>
      untilInterrupted((signal) => submit(job, options, signal)),
    );
}

async function submit(job: string, options: Options, signal: AbortSignal): Promise<void> {
  const endpoint = endpointOf(options);
  const request = await readRequest(job, overrides(options));
  const progress = new ProgressBar();
  const pieces: Piece[] = [];
  let id = '';
  const last = await submitJob(endpoint, request, {
    signal,
    onState: (state) => {
      id = state.id;
      progress.line(`${id}: ${state.status}`);
    },
    onProgress: (value) => showProgress(progress, value),
    onChunk: (chunk) => {
      const sound = options.format === 'json' ? undefined : soundIn(chunk);
      const piece = sound ?? lineOf(chunk);
      pieces.push(piece);
      if (fileFor(piece, options, id) === undefined) process.stdout.write(contentOf(piece));
    },
  }).finally(() => progress.clear());
  if (last.status !== 'COMPLETED') throw failureOf(last);

  const streamed = pieces.length > 0;
  if (!streamed) pieces.push(await resultOf(last.output, options, signal));
  const [first = ''] = pieces;
  const file = fileFor(first, options, id);
  if (file !== undefined) {
    await publishFile(file, Buffer.concat(pieces.map((piece) => Buffer.from(contentOf(piece)))));
    progress.line(`Written: ${file}`);
  } else if (!streamed) {
    process.stdout.write(contentOf(first));
  }
  const { delayTime = 0, executionTime = 0 } = last;
  progress.line(`Waited ${seconds(delayTime)}, ran ${seconds(executionTime)}.`);
}

/** What is printed or saved, or a part of it. */
type Piece = string | Sound;

function contentOf(piece: Piece): string | Uint8Array {
  return typeof piece === 'string' ? piece : piece.bytes;
}

/** Where it is saved; undefined for standard output. Sound on a terminal would be noise. */
function fileFor(piece: Piece, { output }: Options, jobId: string): string | undefined {
  if (output !== undefined || typeof piece === 'string' || !process.stdout.isTTY) return output;
  return `${jobId.replace(/[^\w-]/g, '_')}.${piece.format ?? 'wav'}`;
}

function endpointOf({ endpoint, url }: Options): Endpoint {
  if ((endpoint === undefined) === (url === undefined)) {
    throw new ArgumentError('INVALID_ARGUMENT', 'Give either --endpoint ID or --url URL');
  }
  if (endpoint !== undefined) {
    const key = process.env['RUNPOD_API_KEY'];
    if (!key) {
      throw new ArgumentError(
        'INVALID_ARGUMENT',
        "RUNPOD_API_KEY is not set: it must hold a key of your RunPod account to reach RunPod's endpoints",
      );
    }
    return connect(key, encodeURIComponent(endpoint));
  }
  // RunPod's key goes to RunPod alone.
  const [, baseUrl, id] = /^(https?:\/\/.+)\/([^/?#]+)\/?$/.exec(url ?? '') ?? [];
  if (baseUrl === undefined || id === undefined || !URL.canParse(baseUrl)) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `Expected a URL that ends with the endpoint's id for --url, such as http://127.0.0.1:8000/v2/local, but received ${url ?? ''}`,
    );
  }
  return connect(process.env['VOXPOD_API_KEY'] || 'local', id, baseUrl);
}

function overrides({ model, language, translate, format }: Options): Record<string, unknown> {
  const form = format === undefined ? undefined : FORMATS[format];
  return {
    ...(model === undefined ? {} : { model }),
    ...(language === undefined ? {} : { language }),
    ...(translate ? { translate } : {}),
    ...(form === undefined ? {} : { [translate ? 'translation' : 'transcription']: form }),
  };
}

function showProgress(progress: ProgressBar, value: unknown): void {
  const { position, duration } = isObject(value) ? value : {};
  if (process.stderr.isTTY && typeof position === 'number' && typeof duration === 'number') {
    progress.update('Running', position, duration, 'seconds');
  } else {
    progress.line(`Progress: ${JSON.stringify(value)}`);
  }
}

/** Sound, or the text of a transcription; JSON where that is asked for or it is something else. */
async function resultOf(output: unknown, options: Options, signal: AbortSignal): Promise<Piece> {
  const { format, translate } = options;
  const whole = await followLink(output, signal);
  if (format !== 'json') {
    const sound = await soundOf(whole, signal);
    if (sound !== undefined) return sound;
    const text = isObject(whole) ? whole[translate ? 'translation' : 'transcription'] : undefined;
    if (typeof text === 'string') return text.endsWith('\n') ? text : `${text}\n`;
  }
  return `${JSON.stringify(whole, null, 2)}\n`;
}

function lineOf(chunk: unknown): string {
  return `${typeof chunk === 'string' ? chunk : JSON.stringify(chunk)}\n`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}
