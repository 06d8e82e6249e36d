/**
 * The main job from end to end, without an account: a RunPod platform on this machine, the worker as
 * RunPod starts it, and a client that submits speech with runpod-sdk and prints the transcript.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import runpodSdk from 'runpod-sdk';
import { decodeAudio, VoxpodError } from '../lib/index.js';
import { ArgumentError, messageOf } from '../lib/errors.js';
import { packageRoot } from '../lib/package_root.js';
import { LocalPlatform } from './server/platform.js';

const SPEECH = join('test', 'fixtures', 'speech', 'weather.wav');
const SAMPLE_RATE = 16_000;
/** In base64 it must fit into RunPod's payload of 10 MB. */
const MAX_FILE_BYTES = 7 * 1024 * 1024;
const POLL_MS = 100;

type Endpoint = NonNullable<ReturnType<ReturnType<typeof runpodSdk>['endpoint']>>;

/** What the status call answers, as far as it is read here. */
interface Status {
  status: string;
  output?: { transcription?: string; detected_language?: string; model?: string };
  error?: string;
  executionTime?: number;
  delayTime?: number;
}

async function demo(file: string, model: string): Promise<void> {
  const bytes = await readFile(file);
  if (bytes.length > MAX_FILE_BYTES) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `${file} has ${bytes.length} bytes, and the demo sends at most ${MAX_FILE_BYTES} in a job. Give it a shorter or compressed file, or use: voxpod transcribe FILE`,
    );
  }
  const { length } = await decodeAudio(file, { sampleRate: SAMPLE_RATE });
  const platform = await LocalPlatform.start();
  say(`A RunPod platform for this machine listens at ${platform.baseUrl}.`);
  const worker = startWorker(platform, model);
  const stop = (): void => void worker.kill('SIGTERM');
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const endpoint = runpodSdk('local', { baseUrl: platform.baseUrl }).endpoint(
      platform.endpointId,
    );
    if (!endpoint) throw new Error('runpod-sdk gave no endpoint');
    const job = await endpoint.run({ input: { audio_base64: bytes.toString('base64') } });
    say(`Job ${job.id} is submitted: ${file}.`);
    report(await finished(endpoint, job.id, worker), length / SAMPLE_RATE);
  } finally {
    await end(worker);
    await platform.close();
  }
}

/** The command that a container runs, with the variables that RunPod gives it. */
function startWorker(platform: LocalPlatform, model: string): ChildProcess {
  const cli = fileURLToPath(new URL('./cli/main.js', import.meta.url));
  const env = { ...process.env, ...platform.environment('demo-worker') };
  // Without it the worker logs plain lines instead of JSON.
  delete env['RUNPOD_ENDPOINT_ID'];
  return spawn(process.execPath, [cli, 'worker', '--model', model], {
    env,
    stdio: ['ignore', process.stderr, process.stderr],
  });
}

async function finished(endpoint: Endpoint, id: string, worker: ChildProcess): Promise<Status> {
  for (;;) {
    const status: Status = await endpoint.status(id);
    if (status.status !== 'IN_QUEUE' && status.status !== 'IN_PROGRESS') return status;
    if (!isRunning(worker)) throw new Error('the worker has ended before the job was done');
    await delay(POLL_MS);
  }
}

function report(status: Status, seconds: number): void {
  const { output, executionTime = 0 } = status;
  if (status.status !== 'COMPLETED' || output?.transcription === undefined) {
    throw new Error(`the job is ${status.status}: ${status.error ?? 'no output'}`);
  }
  process.stdout.write(`${output.transcription}\n`);
  const took = executionTime / 1000;
  say(
    `${seconds.toFixed(1)} s of speech (${output.detected_language ?? 'unknown language'}, model ${output.model ?? 'unknown'}) in ${took.toFixed(2)} s: real-time factor ${(took / seconds).toFixed(3)}, job delivery included.`,
  );
}

function isRunning(worker: ChildProcess): boolean {
  return worker.exitCode === null && worker.signalCode === null;
}

async function end(worker: ChildProcess): Promise<void> {
  if (!isRunning(worker)) return;
  const exited = once(worker, 'exit');
  worker.kill('SIGTERM');
  await exited;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

const program = new Command('npm run demo --')
  .argument('[file]', 'an audio file to transcribe instead of the one in the repository')
  .option('--model <name>', 'name or folder of a Whisper model', 'base')
  .action((file: string | undefined, { model }: { model: string }) => {
    // npm runs scripts in the package's root; INIT_CWD is where the user is.
    const given = file && resolve(process.env['INIT_CWD'] ?? '', file);
    return demo(given ?? join(packageRoot(), SPEECH), model);
  });

try {
  await program.parseAsync();
} catch (error) {
  say(`demo: ${messageOf(error)}${error instanceof VoxpodError ? ` (${error.code})` : ''}`);
  process.exitCode = 1;
}
