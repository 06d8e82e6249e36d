/** Transcription jobs with real weights, through the worker and a local platform. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { packageRoot } from '../../../lib/package_root.js';
import { transcriptionHandler, type TranscriptionOutput } from '../../../src/jobs/transcription.js';
import { ModelPool } from '../../../src/models/pool.js';
import { ModelStore } from '../../../src/models/store.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import { baseFolder, tinyFolder, whyNotReal } from '../models/real.js';
import {
  endpointOf,
  settled,
  startWorker,
  type Endpoint,
  type JobStatus,
  type StartedWorker,
} from '../runpod/support.js';

const skip = whyNotReal(false);
const speech = readFileSync(join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav'));
const audio_base64 = speech.toString('base64');
const SPOKEN =
  'yesterday it was raining all day long today the sun is shining and the children are playing in the garden';

let platform: LocalPlatform;
let endpoint: Endpoint;
let pool: ModelPool;
let worker: StartedWorker;
let files: Server;
let filesUrl: string;

before(async () => {
  if (skip) return;
  files = createServer((request, response) => {
    if (request.url === '/weather.wav') response.end(speech);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  const address = files.address();
  filesUrl = typeof address === 'object' ? `http://127.0.0.1:${address?.port ?? 0}` : '';
  platform = await LocalPlatform.start();
  endpoint = endpointOf(platform);
  pool = new ModelPool({ store: new ModelStore({ offline: true }), maxModels: 2 });
  worker = startWorker(platform, {
    concurrency: 3,
    handler: transcriptionHandler({
      pool,
      allowPrivateUrls: true,
      models: new Map([
        ['base', baseFolder],
        ['tiny.en', tinyFolder],
      ]),
    }),
  });
});

after(async () => {
  if (skip) return;
  await worker.stop();
  await pool.dispose();
  await platform.close();
  files.closeAllConnections();
  files.close();
});

async function run(input: unknown): Promise<JobStatus & { output?: TranscriptionOutput }> {
  const { id } = await endpoint.run({ input });
  const status = await settled(endpoint, id);
  return status as JobStatus & { output?: TranscriptionOutput };
}

function words(text: string | undefined): string {
  return (text ?? '')
    .toLowerCase()
    .replace(/[^a-z ]/g, '')
    .trim();
}

test("base64 and URL give the official worker's output", { skip }, async () => {
  for (const input of [{ audio_base64 }, { audio: `${filesUrl}/weather.wav`, model: 'base' }]) {
    const { status, output, error } = await run(input);
    assert.equal(status, 'COMPLETED', error);
    assert.deepEqual(Object.keys(output ?? {}), [
      'segments',
      'detected_language',
      'transcription',
      'translation',
      'device',
      'model',
    ]);
    assert.equal(words(output?.transcription), SPOKEN);
    assert.equal(output?.detected_language, 'en');
    assert.equal(output?.translation, null);
    assert.equal(output?.device, 'cpu');
    assert.equal(output?.model, 'base');
    const [segment] = output?.segments ?? [];
    assert.deepEqual(Object.keys(segment ?? {}), [
      'id',
      'seek',
      'start',
      'end',
      'text',
      'tokens',
      'temperature',
      'avg_logprob',
      'compression_ratio',
      'no_speech_prob',
    ]);
    assert.ok((segment?.tokens.length ?? 0) > 5);
  }
});

test('formats: srt, vtt, lines', { skip }, async () => {
  const options = { audio_base64, model: 'tiny.en' };
  const [srt, vtt, lines] = await Promise.all(
    ['srt', 'vtt', 'formatted_text'].map(
      async (transcription) => (await run({ ...options, transcription })).output?.transcription,
    ),
  );
  assert.match(srt ?? '', /^1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n/);
  assert.match(vtt ?? '', /^WEBVTT\n\n00:0\d\.\d{3} --> /);
  assert.equal(words(lines?.replaceAll('\n', ' ')), SPOKEN);
});

test('translate adds a translation', { skip }, async () => {
  const { output, error } = await run({ audio_base64, translate: true, translation: 'srt' });
  assert.match(output?.translation ?? error ?? '', /^1\n00:00:0\d,\d{3} --> /);
  assert.equal(words(output?.transcription), SPOKEN);
});

test('each kind of bad input has its code, and the worker lives on', { skip }, async () => {
  const rows: [object, string][] = [
    [{}, 'JOB_INVALID'],
    [{ audio_base64: '!!' }, 'JOB_INVALID'],
    [{ audio_base64, temprature: 0 }, 'JOB_INVALID'],
    [{ audio_base64, model: 'gigantic' }, 'MODEL_UNKNOWN'],
    [{ audio_base64, language: 'klingon' }, 'LANGUAGE_UNKNOWN'],
    [{ audio_base64: speech.subarray(0, 44).toString('base64') }, 'AUDIO_EMPTY'],
    [{ audio: `${filesUrl}/none` }, 'DOWNLOAD_FAILED'],
    [{ audio: 'file:///etc/passwd' }, 'URL_FORBIDDEN'],
  ];
  for (const [input, code] of rows) {
    const { status, error } = await run(input);
    assert.equal(status, 'FAILED');
    const report = JSON.parse(error ?? '') as Record<string, string>;
    assert.equal(report['code'], code, report['error_message']);
  }
  assert.equal((await run({ audio_base64, model: 'tiny.en' })).status, 'COMPLETED');
});
