/** Which job is which, and that each is checked by its own rules. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { jobHandler, kindOf } from '../../../src/jobs/handler.js';
import { ModelPool } from '../../../src/models/pool.js';
import { ModelStore } from '../../../src/models/store.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import { endpointOf, startWorker, type JobStatus, type StartedWorker } from '../runpod/support.js';

let platform: LocalPlatform;
let pool: ModelPool;
let worker: StartedWorker;

before(async () => {
  platform = await LocalPlatform.start({ holdMs: 1000 });
  pool = new ModelPool({ store: new ModelStore({ offline: true }) });
  worker = startWorker(platform, { handler: jobHandler({ pool, allowPrivateUrls: false }) });
});

after(async () => {
  await worker.stop();
  await pool.dispose();
  await platform.close();
});

test('the input itself says what kind of job it is', () => {
  const rows: [unknown, 'speech' | 'transcription'][] = [
    [{ text: 'Hello' }, 'speech'],
    [{ text: '', reference_audio: 'https://example.com/voice.wav' }, 'speech'],
    [{ text: 'Hello', audio: null, audio_base64: null }, 'speech'],
    [{ audio: 'https://example.com/talk.mp3' }, 'transcription'],
    [{ audio: null, audio_base64: 'UklGRg==', text: null }, 'transcription'],
    [{ audio: 'https://example.com/talk.mp3', audio_base64: 'UklGRg==' }, 'transcription'],
  ];
  for (const [input, kind] of rows) assert.equal(kindOf(input), kind, JSON.stringify(input));
});

test('an input that says nothing, or two things, is told what to send', () => {
  const rows: [unknown, RegExp][] = [
    [{}, /either audio or audio_base64 .* or text/],
    [{ audio: null, audio_base64: null }, /either audio or audio_base64/],
    [{ model: 'base' }, /either audio or audio_base64/],
    [{ text: 'Hello', audio: 'https://example.com/a.wav' }, /not both\. .*reference_audio/],
    [{ openai_route: '/v1/audio/speech', openai_input: { input: 'Hello' } }, /OpenAI route.*\/run/],
    [[1], /an object.* not an array/],
    ['https://example.com/a.wav', /an object.* not a string/],
    [7, /an object.* not a number/],
  ];
  for (const [input, message] of rows) {
    assert.throws(() => kindOf(input), { code: 'JOB_INVALID', message }, JSON.stringify(input));
  }
});

async function failureOf(input: unknown): Promise<{ code: string; error_message: string }> {
  const status: JobStatus = await endpointOf(platform).runSync({ input });
  assert.equal(status.status, 'FAILED');
  return JSON.parse(status.error ?? '') as { code: string; error_message: string };
}

test('each kind is checked by its own schema, and by what the worker has', async () => {
  const rows: [unknown, string, RegExp][] = [
    [{ text: 'Hello' }, 'JOB_INVALID', /send voice, reference_audio or reference_audio_base64/],
    [{ text: 'Hello', voice: 'anna' }, 'VOICE_UNKNOWN', /no voice "anna"/],
    [{ text: 'Hello', model: 'higgs-audio-v2' }, 'MODEL_UNSUPPORTED', /cannot speak/],
    [{ text: 'Hello', model: 'base', voice: 'anna' }, 'MODEL_UNSUPPORTED', /f5-tts-v1-base/],
    [{ text: 'Hello', steps: 0 }, 'JOB_INVALID', /steps/],
    [{ text: 'Hello', language: 'en' }, 'JOB_INVALID', /unknown option "language"/],
    [{ audio_base64: 'UklGRg==', steps: 16 }, 'JOB_INVALID', /unknown option "steps"/],
    [{ audio_base64: 'UklGRg==', model: 'f5-tts' }, 'MODEL_UNSUPPORTED', /cannot transcribe.*base/],
    [{ audio: 'http://127.0.0.1/a.wav' }, 'URL_FORBIDDEN', /private/],
    [{}, 'JOB_INVALID', /either audio or audio_base64/],
  ];
  for (const [input, code, message] of rows) {
    const failure = await failureOf(input);
    assert.equal(failure.code, code, JSON.stringify(input));
    assert.match(failure.error_message, message);
  }
});
