/** docs/api.md tells the truth: its tables are the schemas', its examples run, nothing is left out. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../lib/package_root.js';
import { jobHandler, kindOf } from '../../src/jobs/handler.js';
import { JobBuckets } from '../../src/jobs/job_bucket.js';
import { parseSpeech, speechOutputSchema } from '../../src/jobs/speech_schema.js';
import {
  parseTranscription,
  transcriptionOutputSchema,
} from '../../src/jobs/transcription_schema.js';
import { ModelPool } from '../../src/models/pool.js';
import { ModelStore } from '../../src/models/store.js';
import { LocalPlatform } from '../../src/server/platform.js';
import { writeTinyModel } from '../lib/f5/tiny_model.js';
import { baseFolder, tinyFolder, whyNotReal } from '../src/models/real.js';
import {
  endpointOf,
  eventually,
  settled,
  startWorker,
  type StartedWorker,
} from '../src/runpod/support.js';

const root = packageRoot();
const text = readFileSync(join(root, 'docs', 'api.md'), 'utf8');
const speech = readFileSync(join(root, 'test', 'fixtures', 'speech', 'weather.wav'));
/** All addresses of the examples are on this host; the tests put a server of their own there. */
const HOST = 'https://example.com';

type Json = Record<string, unknown>;

interface Example {
  /** The words after "example:". */
  kind: string;
  value: Json;
  /** The heading above it. */
  section: string;
  /** The one before it in the file. */
  previous: Example | undefined;
}

const examples = readExamples();

function readExamples(): Example[] {
  const found: Example[] = [];
  let section = '';
  for (const match of text.matchAll(
    /^#+ (.+)$|(?:<!-- example: (.+?) -->\n\n)?^```json\n([^]*?)^```$/gm,
  )) {
    const [, heading, kind, json] = match;
    if (heading !== undefined) section = heading;
    if (json === undefined) continue;
    assert.ok(kind !== undefined, `an example in "${section}" has no comment that says its kind`);
    found.push({ kind, section, value: JSON.parse(json) as Json, previous: found.at(-1) });
  }
  return found;
}

function ofKind(start: string): Example[] {
  const chosen = examples.filter(({ kind }) => kind.startsWith(start));
  assert.ok(chosen.length > 0, start);
  return chosen;
}

const rootOfCompiled = fileURLToPath(new URL('../..', import.meta.url));

test('the tables of fields are those of the schemas', () => {
  const args = ['.ci/docs.mjs', '--check', '--compiled', rootOfCompiled];
  const run = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
});

/** Names in backquotes in the first column of a section's table. */
function firstColumn(heading: string): Set<string> {
  const [, section = ''] = text.split(`\n## ${heading}\n`);
  const [own = ''] = section.split('\n## ');
  const cells = [...own.matchAll(/^\| ([^|]+)\|/gm)].map(([, cell = '']) => cell);
  return new Set(
    cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)),
  );
}

const sources = ['lib', 'src'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name): [string, string] => [
      join(folder, name),
      readFileSync(join(root, folder, name), 'utf8'),
    ]),
);

function errorCodes(): string[] {
  const [, source = ''] = sources.find(([name]) => name === join('lib', 'errors.ts')) ?? [];
  const [union = ''] = /export type ErrorCode =[^]+?\n\n/.exec(source) ?? [];
  const codes = [...union.matchAll(/\| '(\w+)'/g)].map(([, code]) => code!);
  assert.ok(codes.length > 30);
  return codes;
}

test('every code is in the table of codes, and no other', () => {
  assert.deepEqual([...firstColumn('Errors')].sort(), errorCodes().sort());
});

test('every environment variable that is read is in a table', () => {
  const documented = firstColumn('Environment variables');
  const storage = readFileSync(join(root, 'docs', 'storage.md'), 'utf8');
  for (const [, name = ''] of storage.matchAll(/`(\w+)`/g)) documented.add(name);
  const codes = new Set(errorCodes());
  const undocumented = sources.flatMap(([file, source]) => {
    const direct = [...source.matchAll(/\benv\[\s*['"`](\w+)['"`]/g)];
    const named = [
      ...source.matchAll(/['"`]((?:RUNPOD|VOXPOD|AWS|HF|LIBTORCH|XDG)_[A-Z0-9_]*[A-Z0-9])['"`]/g),
    ];
    return [...direct, ...named]
      .map(([, name = '']) => name)
      .filter((name) => !codes.has(name) && !documented.has(name) && !SET_FOR_OTHERS.has(name))
      .map((name) => `${name} (${file})`);
  });
  assert.deepEqual(undocumented, []);
  // And those of the table are read somewhere.
  const all = sources.map(([, source]) => source).join('\n');
  const gone = [...firstColumn('Environment variables')].filter(
    (name) => /^[A-Z][A-Z0-9_]+$/.test(name) && !all.includes(name),
  );
  assert.deepEqual(
    gone.filter((name) => !LEVELS.has(name)),
    [],
  );
});

/** Written for a library, never read. */
const SET_FOR_OTHERS = new Set(['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED']);

/** Values of RUNPOD_LOG_LEVEL. */
const LEVELS = new Set(['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'NOTSET']);

test('inputs pass their schemas, outputs have nothing more and nothing less than theirs', () => {
  for (const { kind, value, section } of ofKind('job')) {
    if (kind !== 'job') continue;
    const input = value['input'];
    if (kindOf(input) === 'speech') parseSpeech(input);
    else parseTranscription(input);
    assert.deepEqual(Object.keys(value), ['input'], section);
  }
  const [transcription] = ofKind('output transcription');
  assert.deepEqual(transcriptionOutputSchema.parse(transcription?.value), transcription?.value);
  const [sound] = ofKind('output speech');
  assert.deepEqual(speechOutputSchema.parse(sound?.value), sound?.value);
});

describe('on a local platform', () => {
  const skip = whyNotReal(false);
  const hooked: Json[] = [];
  let platform: LocalPlatform;
  let pool: ModelPool;
  let worker: StartedWorker;
  let server: Server;
  let origin: string;
  let speechFolder: string;

  before(async () => {
    server = createServer((request, response) => {
      if (request.method !== 'POST') return void response.end(speech);
      let body = '';
      request.setEncoding('utf8').on('data', (part: string) => (body += part));
      request.on('end', () => {
        hooked.push(JSON.parse(body) as Json);
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    origin = typeof address === 'object' ? `http://127.0.0.1:${address?.port ?? 0}` : '';
    platform = await LocalPlatform.start({ holdMs: 1000 });
    speechFolder = await mkdtemp(join(tmpdir(), 'voxpod-docs-'));
    await writeTinyModel(speechFolder);
    pool = new ModelPool({ store: new ModelStore({ offline: true }), maxModels: 2 });
    worker = startWorker(platform, {
      handler: jobHandler({
        pool,
        allowPrivateUrls: true,
        models: new Map([
          ['base', baseFolder],
          ['tiny.en', tinyFolder],
        ]),
        speechModels: new Map([['f5-tts', speechFolder]]),
        buckets: JobBuckets.fromEnvironment({}),
      }),
    });
  });

  after(async () => {
    await worker.stop();
    await pool.dispose();
    await platform.close();
    server.closeAllConnections();
    server.close();
    await rm(speechFolder, { recursive: true });
  });

  /** Posts an example as it is, but for where its audio is. */
  async function run(value: Json): Promise<{ status: string; output?: unknown; error?: string }> {
    const request = JSON.parse(JSON.stringify(value).replaceAll(HOST, origin)) as { input: Json };
    for (const name of ['audio_base64', 'reference_audio_base64']) {
      if (name in request.input) request.input[name] = speech.toString('base64');
    }
    const response = await fetch(`${platform.baseUrl}/local/run`, {
      method: 'POST',
      headers: { Authorization: 'Bearer key', 'Content-Type': 'application/json' },
      body: JSON.stringify(request),
    });
    assert.equal(response.status, 200, await response.clone().text());
    const { id } = (await response.json()) as { id: string };
    return settled(endpointOf(platform), id);
  }

  for (const { kind, value, section } of ofKind('job refused ')) {
    const code = kind.replace('job refused ', '');
    test(`${section}: the job is refused with ${code}`, async () => {
      const { status, error } = await run(value);
      assert.equal(status, 'FAILED');
      assert.equal((JSON.parse(error ?? '') as Json)['code'], code, error);
    });
  }

  for (const { value, previous, section } of ofKind('error of the job before')) {
    test(`${section}: the error is that of the job before it`, async () => {
      const { error } = await run(previous?.value ?? {});
      const report = JSON.parse(error ?? '') as Json;
      assert.deepEqual(Object.keys(report), Object.keys(value));
      for (const key of ['error_type', 'error_message', 'code', 'runpod_version']) {
        assert.equal(report[key], value[key]);
      }
    });
  }

  for (const { kind, value, section } of examples) {
    if (kind !== 'job' && kind !== 'request') continue;
    test(`${section}: the ${kind} runs, and its output is as documented`, { skip }, async () => {
      const { status, output, error } = await run(value);
      assert.equal(status, 'COMPLETED', error);
      if (kindOf(value['input']) === 'speech') return assertSpeech(value['input'] as Json, output);
      assert.deepEqual(transcriptionOutputSchema.parse(output), output);
      const [documented] = ofKind('output transcription');
      const wanted = value['input'] as Json;
      const expected = { ...documented?.value };
      if (!wanted['word_timestamps']) delete expected['word_timestamps'];
      assert.deepEqual(shapeOf(output), shapeOf(expected));
      const got = output as Json;
      assert.equal(got['model'], wanted['model'] ?? 'base');
      assert.equal(typeof got['translation'], wanted['translate'] ? 'string' : 'object');
      assert.match(String(got['transcription']), /sun is shining/);
      if (wanted['transcription'] === 'srt') assert.match(String(got['transcription']), /^1\n00:/);
      if (!('webhook' in value)) return;
      await eventually('its webhook is called', () => hooked.length > 0);
      assert.deepEqual([hooked[0]?.['status'], hooked[0]?.['output']], ['COMPLETED', output]);
    });
  }

  function assertSpeech(input: Json, output: unknown): void {
    const { audio_base64: sound, edits, ...rest } = speechOutputSchema.strict().parse(output);
    assert.deepEqual(edits, input['edits']);
    const [documented] = ofKind('output speech');
    const expected = { ...documented?.value };
    // It is in the output itself here, not in a bucket.
    delete expected['audio_url'];
    delete expected['expires_at'];
    assert.deepEqual(shapeOf({ ...rest, warnings: [] }), shapeOf(expected));
    assert.equal(rest.format, input['format'] ?? 'wav');
    assert.equal(rest.seed, input['seed'] ?? rest.seed);
    assert.ok(Buffer.from(sound ?? '', 'base64').length > 16_000);
  }

  test('the status has the documented keys', async () => {
    const { status, output, ...rest } = await run({ input: { text: 'Hello' } });
    const [documented] = ofKind('status');
    assert.deepEqual([status, output], ['FAILED', undefined]);
    const keys = Object.keys(rest).filter((key) => !ADDED_BY_SDK.has(key) && key !== 'error');
    assert.deepEqual(
      [...keys, 'status', 'output'].sort(),
      Object.keys(documented?.value ?? {}).sort(),
    );
  });
});

const ADDED_BY_SDK = new Set(['started', 'completed', 'succeeded']);

/** Keys and types; of an array that of its first item; a translation may be null or a text. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return [shapeOf(value[0])];
  if (typeof value !== 'object' || value === null) return typeof value;
  const entries = Object.entries(value).filter(([key]) => key !== 'translation');
  return Object.fromEntries(entries.map(([key, held]) => [key, shapeOf(held)]));
}

test('progress, streams and links are as the code makes them', () => {
  const keys = (kind: string): string[] => Object.keys(ofKind(kind)[0]?.value ?? {});
  const progress = ['position', 'fraction', 'duration', 'estimated_seconds_left'];
  assert.deepEqual(keys('progress'), progress);
  const spoken = ['fraction', 'chunk', 'chunks', 'estimated_seconds_left'];
  assert.deepEqual(keys('progress speech'), spoken);
  assert.deepEqual(keys('output link'), ['result_url', 'bytes', 'expires_at']);
  assert.deepEqual(keys('stream'), ['status', 'stream']);
});
