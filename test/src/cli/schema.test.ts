/** `voxpod schema`, and what its JSON Schema says. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import * as schemas from '../../../src/jobs/schema.js';
import type { JsonSchema } from '../../../src/jobs/schema.js';
import { parseSpeech } from '../../../src/jobs/speech_schema.js';
import { parseTranscription } from '../../../src/jobs/transcription_schema.js';

const CLI = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));

function voxpod(...args: string[]) {
  // No addon is to be found: the command does without.
  const env = { PATH: process.env['PATH'], VOXPOD_ADDON: '/nonexistent' };
  const run = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8', env });
  return { code: run.status, out: run.stdout, err: run.stderr };
}

interface Schema {
  $schema?: string;
  properties?: Record<string, { description?: string; default?: unknown }>;
  additionalProperties?: boolean;
  required?: string[];
  anyOf?: Schema[];
}

function printed(...args: string[]): Schema {
  const { code, out, err } = voxpod('schema', ...args);
  assert.deepEqual([code, err], [0, '']);
  return JSON.parse(out) as Schema;
}

test("a kind's input or output, or either kind's", () => {
  const transcription = printed('transcription');
  assert.deepEqual(transcription, schemas.transcriptionInput);
  assert.match(transcription.$schema ?? '', /2020-12/);
  assert.equal(transcription.additionalProperties, false);
  // With defaults for everything, as in the official worker.
  assert.deepEqual(transcription.required ?? [], []);
  assert.equal(transcription.properties?.['best_of']?.default, 5);
  const speech = printed('speech');
  assert.deepEqual(speech, schemas.speechInput);
  assert.deepEqual(speech.required, ['text']);
  for (const { properties } of [transcription, speech]) {
    for (const [key, { description }] of Object.entries(properties ?? {})) {
      assert.ok((description ?? '').length > 5, key);
    }
  }
  assert.deepEqual(printed('transcription', '--output'), schemas.transcriptionOutput);
  assert.deepEqual(printed('speech', '--output'), schemas.speechOutput);
  const either = printed();
  assert.equal(either.$schema, transcription.$schema);
  assert.deepEqual(
    either.anyOf?.map(({ properties, $schema }) => [properties, $schema]),
    [
      [transcription.properties, undefined],
      [speech.properties, undefined],
    ],
  );
});

test('the JSON Schema takes and refuses what the worker does', () => {
  const audio = 'https://example.com/talk.mp3';
  const rows: [JsonSchema, object, boolean][] = [
    [schemas.transcriptionInput, { audio }, true],
    [schemas.transcriptionInput, { audio, audio_base64: null, best_of: null, seed: 7 }, true],
    [schemas.transcriptionInput, { audio, transcription: 'plain text' }, true],
    [schemas.transcriptionInput, { audio, langauge: 'en' }, false],
    [schemas.transcriptionInput, { audio, temperature: 2 }, false],
    [schemas.transcriptionInput, { audio, suppress_tokens: 'a' }, false],
    [schemas.speechInput, { text: 'Hello', steps: 16, format: 'mp3', sample_rate: 48_000 }, true],
    [schemas.speechInput, { text: '你好', steps: null }, true],
    [schemas.speechInput, {}, false],
    [schemas.speechInput, { text: '' }, false],
    [schemas.speechInput, { text: 'Hello', speed: 0 }, false],
    [schemas.speechInput, { text: 'Hello', sample_rate: 11_025 }, false],
  ];
  for (const [schema, input, right] of rows) {
    const read = z.fromJSONSchema(schema).safeParse(input).success;
    const parse = schema === schemas.speechInput ? parseSpeech : parseTranscription;
    assert.equal(read, right, JSON.stringify(input));
    if (right) parse(input);
    else assert.throws(() => parse(input), { code: 'JOB_INVALID' });
  }
});

test('wrong arguments are told apart from failures', () => {
  const kind = voxpod('schema', 'music');
  assert.deepEqual([kind.code, kind.out], [2, '']);
  assert.match(kind.err, /transcription, speech/);
  // A model that nobody knows, on the command line.
  const model = voxpod('transcribe', 'talk.wav', '--model', 'bsae');
  assert.equal(model.code, 2, model.err);
  assert.match(model.err, /no model "bsae".*base.*MODEL_UNKNOWN/);
});
