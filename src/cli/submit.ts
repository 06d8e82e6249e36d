/** `voxpod submit`: sends a job to an endpoint, follows it, prints or saves what comes back. */
import { Option, type Command } from 'commander';
import { ArgumentError } from '../../lib/errors.js';
import { readRequest } from '../client/request.js';
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
    .option('-o, --output <file>', 'write to a file instead of standard output')
    .action((job: string, options: Options) =>
      untilInterrupted((signal) => submit(job, options, signal)),
    );
}

async function submit(job: string, options: Options, signal: AbortSignal): Promise<void> {
  const endpoint = endpointOf(options);
  const request = await readRequest(job, overrides(options));
  const progress = new ProgressBar();
  const chunks: unknown[] = [];
  const last = await submitJob(endpoint, request, {
    signal,
    onState: ({ id, status }) => progress.line(`${id}: ${status}`),
    onProgress: (value) => showProgress(progress, value),
    onChunk: (chunk) => {
      chunks.push(chunk);
      if (options.output === undefined) process.stdout.write(lineOf(chunk));
    },
  }).finally(() => progress.clear());
  if (last.status !== 'COMPLETED') throw failureOf(last);

  const shown = chunks.length > 0 ? chunks.map(lineOf).join('') : resultOf(last.output, options);
  if (options.output !== undefined) {
    await publishFile(options.output, shown);
    progress.line(`Written: ${options.output}`);
  } else if (chunks.length === 0) {
    process.stdout.write(shown);
  }
  const { delayTime = 0, executionTime = 0 } = last;
  progress.line(`Waited ${seconds(delayTime)}, ran ${seconds(executionTime)}.`);
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

/** The text of a transcription, unless JSON is asked for or the output is of another kind. */
function resultOf(output: unknown, { format, translate }: Options): string {
  const text = isObject(output) ? output[translate ? 'translation' : 'transcription'] : undefined;
  if (format === 'json' || typeof text !== 'string') return `${JSON.stringify(output, null, 2)}\n`;
  return text.endsWith('\n') ? text : `${text}\n`;
}

function lineOf(chunk: unknown): string {
  return `${typeof chunk === 'string' ? chunk : JSON.stringify(chunk)}\n`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}
