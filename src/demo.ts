/**
 * The main job from end to end, without an account: a RunPod platform on this machine, the worker as
 * RunPod starts it, and a client that submits speech with runpod-sdk and prints the transcript.
 */
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { decodeAudio, VoxpodError } from '../lib/index.js';
import { messageOf } from '../lib/errors.js';
import { packageRoot } from '../lib/package_root.js';
import { Interrupted, untilInterrupted } from './cli/interrupt.js';
import { readRequest } from './client/request.js';
import { connect, failureOf, submitJob, type JobStatus } from './client/submit.js';
import type { TranscriptionOutput } from './jobs/transcription.js';
import { withLocalEndpoint } from './server/local_endpoint.js';

const SPEECH = join('test', 'fixtures', 'speech', 'weather.wav');
const SAMPLE_RATE = 16_000;

async function demo(file: string, model: string): Promise<void> {
  const request = await readRequest(file);
  const { length } = await decodeAudio(file, { sampleRate: SAMPLE_RATE });
  const settings = { worker: ['--model', model], say };
  await untilInterrupted((interrupt) =>
    withLocalEndpoint(settings, interrupt, async ({ baseUrl, endpointId }, signal) => {
      say(`A RunPod platform for this machine listens at ${baseUrl}.`);
      const status = await submitJob(connect('local', endpointId, baseUrl), request, {
        signal,
        onState: ({ id, status: state }) => say(`Job ${id} is ${state}: ${file}.`),
      });
      report(status, length / SAMPLE_RATE);
    }),
  );
}

function report(status: JobStatus, seconds: number): void {
  if (status.status !== 'COMPLETED') throw failureOf(status);
  const output = status.output as TranscriptionOutput;
  process.stdout.write(`${output.transcription}\n`);
  const took = (status.executionTime ?? 0) / 1000;
  say(
    `${seconds.toFixed(1)} s of speech (${output.detected_language}, model ${output.model}) in ${took.toFixed(2)} s: real-time factor ${(took / seconds).toFixed(3)}, job delivery included.`,
  );
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
  process.exitCode = error instanceof Interrupted ? error.exitCode : 1;
}
