/** Transcription jobs with real weights, through the worker and a local platform. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { packageRoot } from '../../../lib/package_root.js';
import { transcriptionHandler, type TranscriptionOutput } from '../../../src/jobs/transcription.js';
import { ModelPool } from '../../../src/models/pool.js';
import { ModelStore } from '../../../src/models/store.js';
import type { Handler } from '../../../src/runpod/job.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import { tone, wavBytes, type WavParts } from '../../lib/audio/wav_bytes.js';
import { words } from '../../support/word_errors.js';
import { baseFolder, tinyFolder, whyNotReal } from '../models/real.js';
import { temporaryFolder } from '../storage/temporary.js';
import {
  endpointOf,
  eventually,
  settled,
  startWorker,
  type Endpoint,
  type JobStatus,
  type StartedWorker,
} from '../runpod/support.js';

const skip = whyNotReal(false);
const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
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

/** What jobs call a model, and its folder; a broken one is put here by its test. */
const folders = new Map([
  ['base', baseFolder],
  ['tiny.en', tinyFolder],
]);
/** Larger files are refused. */
const MAX_BYTES = 24_000_000;

function handlerOf(models: ModelPool): Handler {
  const limits = { maxBytes: MAX_BYTES, stallMs: 500 };
  return transcriptionHandler({ pool: models, allowPrivateUrls: true, models: folders, limits });
}

before(async () => {
  if (skip) return;
  const tenMinutes = wavBytes({
    data: Buffer.concat(Array.from({ length: 100 }, () => speech.subarray(44))),
    sampleRate: speech.readUInt32LE(24),
  });
  const served: Record<string, Buffer | string> = {
    '/weather.wav': speech,
    '/empty.wav': '',
    '/text.mp3': 'This is a text, whatever its name says.\n'.repeat(100),
    '/large.wav': Buffer.alloc(MAX_BYTES + 1),
    '/ten-minutes.wav': tenMinutes,
  };
  files = createServer((request, response) => {
    const body = served[request.url ?? ''];
    if (body !== undefined) response.end(body);
    else if (request.url !== '/hang.wav') response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
  const address = files.address();
  filesUrl = typeof address === 'object' ? `http://127.0.0.1:${address?.port ?? 0}` : '';
  platform = await LocalPlatform.start();
  endpoint = endpointOf(platform);
  pool = new ModelPool({ store: new ModelStore({ offline: true }), maxModels: 2 });
  worker = startWorker(platform, {
    concurrency: 3,
    handler: handlerOf(pool),
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

function spoken(text: string | undefined): string {
  return words(text ?? '').join(' ');
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
    assert.equal(spoken(output?.transcription), SPOKEN);
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
  assert.equal(spoken(lines?.replaceAll('\n', ' ')), SPOKEN);
});

test('word_timestamps adds a flat list of words', { skip }, async () => {
  const options = { model: 'tiny.en', beam_size: 1, word_timestamps: true };
  const { output, error } = await run({ audio_base64, ...options });
  const list = output?.word_timestamps ?? [];
  assert.equal(spoken(list.map(({ word }) => word).join('')), SPOKEN, error);
  let last = 0;
  for (const { word, start, end, ...more } of list) {
    assert.ok(start >= last && end >= start && end < 8, `${word} ${start} ${end}`);
    assert.deepEqual(more, {});
    last = start;
  }
});

test('beam search and the greedy one both hear what is said', { skip }, async () => {
  const searches = [{ beam_size: 5, patience: 2 }, { beam_size: 1 }, { length_penalty: 0.6 }];
  for (const options of searches) {
    const { output, error } = await run({ audio_base64, model: 'tiny.en', ...options });
    assert.equal(spoken(output?.transcription), SPOKEN, error);
  }
});

test('translate adds a translation', { skip }, async () => {
  const { output, error } = await run({ audio_base64, translate: true, translation: 'srt' });
  assert.match(output?.translation ?? error ?? '', /^1\n00:00:0\d,\d{3} --> /);
  assert.equal(spoken(output?.transcription), SPOKEN);
});

test('each segment says its language where each window is heard anew', { skip }, async () => {
  const options = { multilingual: true, translate: true, batch_size: 4, beam_size: 1 };
  const { output, error } = await run({ audio_base64, model: 'base', ...options });
  assert.equal(spoken(output?.transcription), SPOKEN, error);
  assert.ok((output?.translation ?? '').length > 10);
  assert.ok((output?.segments.length ?? 0) > 0);
  for (const { language } of output?.segments ?? []) assert.equal(language, 'en');
});

test(
  'a job with a translation decodes its audio for each pass, and holds it for none',
  { skip: skip || (!hasFfmpeg && 'there is no ffmpeg') },
  async (context) => {
    const folder = await temporaryFolder(context);
    const made = spawnSync('ffmpeg', ['-i', 'pipe:0', '-f', 'flac', 'pipe:1'], { input: speech });
    // Stands before the real one, and writes down that it was called.
    const calls = join(folder, 'calls');
    const path = process.env['PATH'] ?? '';
    const program = `#!/bin/sh\necho >> '${calls}'\nPATH='${path}' exec ffmpeg "$@"\n`;
    writeFileSync(join(folder, 'ffmpeg'), program, { mode: 0o755 });
    process.env['PATH'] = `${folder}:${path}`;
    context.after(() => (process.env['PATH'] = path));
    const input = { audio_base64: made.stdout.toString('base64'), translate: true };
    const { output, error } = await run(input);
    assert.match(output?.transcription ?? error ?? '', /sun is shining/);
    assert.ok((output?.translation ?? '').length > 10);
    assert.equal(readFileSync(calls, 'utf8'), '\n\n');
  },
);

/** Runs a job that must fail, and returns its code. */
async function codeOf(input: unknown): Promise<string | undefined> {
  const { status, error } = await run(input);
  assert.equal(status, 'FAILED');
  return (JSON.parse(error ?? '') as Record<string, string>)['code'];
}

async function livesOn(): Promise<void> {
  const { status, output, error } = await run({ audio_base64, model: 'tiny.en' });
  assert.equal(status, 'COMPLETED', error);
  assert.equal(spoken(output?.transcription), SPOKEN);
}

test('each kind of bad input has its code, and the worker lives on', { skip }, async () => {
  const wav = (parts: WavParts): object => ({ audio_base64: wavBytes(parts).toString('base64') });
  const notANumber = Buffer.from(new Float32Array(16_000).fill(NaN).buffer);
  const rows: [object, string][] = [
    [{}, 'JOB_INVALID'],
    [{ audio_base64: '!!' }, 'JOB_INVALID'],
    [{ audio_base64, temprature: 0 }, 'JOB_INVALID'],
    [{ audio_base64, model: 'gigantic' }, 'MODEL_UNKNOWN'],
    [{ audio_base64, model: 'tiny.en', translate: true }, 'JOB_INVALID'],
    [{ audio_base64, language: 'klingon' }, 'LANGUAGE_UNKNOWN'],
    [{ audio_base64, language: 'xx' }, 'LANGUAGE_UNKNOWN'],
    [{ audio_base64, suppress_tokens: '99999' }, 'INVALID_ARGUMENT'],
    [wav({ data: Buffer.alloc(0) }), 'AUDIO_EMPTY'],
    [wav({ data: tone(1) }), 'AUDIO_EMPTY'],
    [wav({ code: 3, bits: 32, data: notANumber }), 'AUDIO_INVALID'],
    [
      // Before anything is fetched.
      {
        audio: `${filesUrl}/none`,
        enable_vad: true,
        vad_parameters: { max_speech_duration_s: 0.1 },
      },
      'JOB_INVALID',
    ],
    [{ audio: `${filesUrl}/empty.wav` }, 'AUDIO_EMPTY'],
    [{ audio: `${filesUrl}/text.mp3` }, hasFfmpeg ? 'AUDIO_INVALID' : 'FFMPEG_MISSING'],
    [{ audio: `${filesUrl}/none` }, 'DOWNLOAD_FAILED'],
    [{ audio: `${filesUrl}/hang.wav` }, 'DOWNLOAD_TIMEOUT'],
    [{ audio: `${filesUrl}/large.wav` }, 'DOWNLOAD_TOO_LARGE'],
    [{ audio: 'file:///etc/passwd' }, 'URL_FORBIDDEN'],
  ];
  for (const [input, code] of rows) {
    const shown = JSON.stringify(input).slice(0, 80);
    assert.equal(await codeOf({ model: 'base', ...input }), code, shown);
  }
  await livesOn();
});

/** How a model's folder may be broken, and the code that says so. */
const BROKEN: [string, 'safetensors' | 'bin', (folder: string) => void, string][] = [
  ['cut weights', 'safetensors', (f) => cut(f, 'model.safetensors', 9999), 'CHECKPOINT_CORRUPT'],
  [
    'corrupt weights',
    'safetensors',
    (f) => overwrite(f, 'model.safetensors', 8, '{"a":['),
    'CHECKPOINT_CORRUPT',
  ],
  [
    'a lying header',
    'safetensors',
    // The header's length, 2^62.
    (f) => overwrite(f, 'model.safetensors', 0, '\0\0\0\0\0\0\0\x40'),
    'CHECKPOINT_CORRUPT',
  ],
  [
    'a huge offset',
    'safetensors',
    (f) => overwrite(f, 'model.safetensors', -1, '"data_offsets":[0,9'),
    'CHECKPOINT_CORRUPT',
  ],
  ['cut weights', 'bin', (f) => cut(f, 'model.bin', 9999), 'CHECKPOINT_CORRUPT'],
  [
    'corrupt weights',
    'bin',
    // The count of variables, after u32 version, u16 length and "WhisperSpec\0", u32 revision.
    (f) => overwrite(f, 'model.bin', 4 + 2 + 12 + 4, '\xff\xff\xff\xff'),
    'CHECKPOINT_CORRUPT',
  ],
  ['no config', 'safetensors', (f) => rmSync(join(f, 'config.json')), 'MODEL_NOT_FOUND'],
  ['no tokenizer', 'safetensors', (f) => rmSync(join(f, 'tokenizer.json')), 'TOKENIZER_INVALID'],
  [
    'another architecture',
    'safetensors',
    (f) => writeFileSync(join(f, 'config.json'), '{"model_type":"llama","d_model":64}'),
    'MODEL_UNSUPPORTED',
  ],
];

function cut(folder: string, name: string, bytes: number): void {
  truncateSync(join(folder, name), bytes);
}

function overwrite(folder: string, name: string, at: number, text: string): void {
  const path = join(folder, name);
  const bytes = readFileSync(path);
  bytes.write(text, at < 0 ? bytes.indexOf('"data_offsets":[') : at, 'latin1');
  writeFileSync(path, bytes);
}

test('each way a model can be broken has its code, and the worker lives on', { skip }, async () => {
  for (const [what, layout, spoil, code] of BROKEN) {
    const folder = mkdtempSync(join(tmpdir(), 'voxpod-broken-'));
    try {
      cpSync(layout === 'bin' ? baseFolder : tinyFolder, folder, { recursive: true });
      spoil(folder);
      folders.set('broken', folder);
      assert.equal(await codeOf({ audio_base64, model: 'broken' }), code, `${layout}: ${what}`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  await livesOn();
});

test(
  'a model disposed during a job fails that job, and the worker lives on',
  { skip },
  async () => {
    const own = await LocalPlatform.start();
    const second = new ModelPool({ store: new ModelStore({ offline: true }), maxModels: 2 });
    const ended = startWorker(own, { handler: handlerOf(second) });
    const client = endpointOf(own);
    try {
      const { whisper } = await second.acquireWhisper(tinyFolder);
      const long = { audio: `${filesUrl}/ten-minutes.wav`, model: 'tiny.en' };
      const { id } = await client.run({ input: long });
      await eventually(
        'the job runs',
        async () => (await client.status(id)).status === 'IN_PROGRESS',
      );
      await delay(300);
      await whisper.dispose();
      const { status, error } = await settled(client, id);
      assert.equal(status, 'FAILED');
      assert.match(error ?? '', /"DISPOSED"/);
      const next = await client.run({ input: { audio_base64, model: 'base' } });
      assert.equal((await settled(client, next.id)).status, 'COMPLETED');
    } finally {
      await ended.stop();
      await second.dispose();
      await own.close();
    }
  },
);
