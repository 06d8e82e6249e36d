/** Speech jobs with a small random model, through the worker and a local platform. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { decodeAudio } from '../../../lib/audio/decode.js';
import { packageRoot } from '../../../lib/package_root.js';
import { jobHandler } from '../../../src/jobs/handler.js';
import { JobBuckets } from '../../../src/jobs/job_bucket.js';
import { speechOutputSchema, type SpeechOutput } from '../../../src/jobs/speech_schema.js';
import { ModelPool } from '../../../src/models/pool.js';
import { ModelStore } from '../../../src/models/store.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import { VoiceLibrary } from '../../../src/voices/voice_library.js';
import { tone, wavBytes } from '../../lib/audio/wav_bytes.js';
import { writeTinyModel } from '../../lib/f5/tiny_model.js';
import { nativeProblem } from '../../support/needs.js';
import { baseFolder, tinyFolder, whyNotReal } from '../models/real.js';
import { needS3, startS3Server } from '../storage/s3_server.js';
import {
  endpointOf,
  errorIn,
  eventually,
  recordingPlatform,
  settled,
  startWorker,
  type Endpoint,
  type Posted,
  type StartedWorker,
} from '../runpod/support.js';

const skip = nativeProblem() ?? false;
const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;
const file = join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav');
const clip = readFileSync(file);
const reference_audio_base64 = clip.toString('base64');
const reference_text =
  'Yesterday it was raining all day long. Today the sun is shining and the children are playing in the garden.';
const server = await startS3Server();

describe('speech jobs', { skip }, () => {
  const bare = { text: 'The weather is fine.', model: 'tiny', seed: 7, steps: 4 };
  const job = { ...bare, reference_audio_base64, reference_text };
  let folder: string;
  let platform: LocalPlatform;
  let posted: Posted[];
  let endpoint: Endpoint;
  let pool: ModelPool;
  let worker: StartedWorker;
  let files: Server;
  let url: string;
  /** Models that were loaded, in order. */
  const loads: string[] = [];
  let buckets: JobBuckets;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'voxpod-speech-'));
    await writeTinyModel(join(folder, 'tiny'));
    const voices = join(folder, 'voices');
    mkdirSync(join(voices, 'anna'), { recursive: true });
    copyFileSync(file, join(voices, 'anna', 'anna.wav'));
    writeFileSync(join(voices, 'anna', 'anna.txt'), reference_text);
    writeFileSync(join(voices, 'anna', 'settings.json'), '{"speed": 2, "steps": 4, "seed": 3}');
    copyFileSync(file, join(voices, 'ben.wav'));
    writeFileSync(join(voices, 'ben.txt'), reference_text);
    // Another voice: the first sentence alone, an octave higher.
    const sentence = (await decodeAudio(file, { sampleRate: 12_000 })).subarray(0, 2.6 * 12_000);
    const data = Buffer.from(Int16Array.from(sentence, (sample) => 32_767 * sample).buffer);
    writeFileSync(join(voices, 'cleo.wav'), wavBytes({ data, sampleRate: 24_000 }));
    writeFileSync(join(voices, 'cleo.txt'), 'Yesterday it was raining all day long.');
    const elevenMinutes = wavBytes({ data: tone(8000 * 660, 8000), sampleRate: 8000 });
    files = createServer((request, response) => {
      if (request.url === '/voice.wav') response.end(clip);
      else if (request.url === '/long.wav') response.end(elevenMinutes);
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
    const address = files.address();
    url = typeof address === 'object' ? `http://127.0.0.1:${address?.port ?? 0}` : '';
    ({ platform, posted } = await recordingPlatform());
    endpoint = endpointOf(platform);
    const note = (line: string): void => void loads.push(line);
    pool = new ModelPool({
      ...{ store: new ModelStore({ offline: true }), maxModels: 2, dtype: 'float32' },
      log: { info: note, warn: () => undefined },
    });
    const settings = typeof server === 'string' ? undefined : await server.createBucket();
    buckets = new JobBuckets({
      environment: settings ? { settings, notes: [] } : { reason: 'none here', notes: [] },
      ...{ allowRequestS3: false, allowPrivateUrls: true },
    });
    const handler = jobHandler({
      ...{ pool, allowPrivateUrls: true, buckets, voices: new VoiceLibrary(voices) },
      models: new Map([['tiny.en', tinyFolder]]),
      speechModels: new Map([['tiny', join(folder, 'tiny')]]),
      hearingModel: baseFolder,
    });
    worker = startWorker(platform, { concurrency: 8, handler });
  });

  after(async () => {
    await worker.stop();
    await pool.dispose();
    await platform.close();
    files.closeAllConnections();
    files.close();
    await rm(folder, { recursive: true });
  });

  async function run(input: object): Promise<SpeechOutput> {
    const { id } = await endpoint.run({ input });
    const { status, output, error } = await settled(endpoint, id);
    assert.equal(status, 'COMPLETED', error);
    assert.deepEqual(speechOutputSchema.strict().parse(output), output);
    return output as SpeechOutput;
  }

  async function failureOf(input: object): Promise<Record<string, string>> {
    const { id } = await endpoint.run({ input });
    const { status, error } = await settled(endpoint, id);
    assert.equal(status, 'FAILED');
    return errorIn(error);
  }

  const soundOf = (output: SpeechOutput): Buffer =>
    Buffer.from(output.audio_base64 ?? '', 'base64');

  test('text, a recording and a seed give a wav, the same bytes twice', async () => {
    const output = await run(job);
    const wav = soundOf(output);
    assert.equal(wav.toString('latin1', 0, 4), 'RIFF');
    assert.equal(wav.readUInt32LE(40), wav.length - 44);
    const samples = (wav.length - 44) / 2;
    assert.deepEqual(output, {
      audio_base64: wav.toString('base64'),
      ...{ format: 'wav', sample_rate: 24_000, duration: samples / 24_000 },
      ...{ seed: 7, model: 'tiny', warnings: [] },
    });
    assert.deepEqual(await run(job), output);
    // By URL it is the same recording.
    const fetched = await run({ ...bare, reference_audio: `${url}/voice.wav`, reference_text });
    assert.ok(soundOf(fetched).equals(wav));
    const { seed } = await run({ ...job, seed: undefined });
    const drawn = await run({ ...job, seed });
    assert.equal(drawn.seed, seed);
  });

  test('eight mixed jobs at once give the bytes that each gives alone, twice', async () => {
    const jobs = [
      job,
      { ...job, text: 'A longer text. '.repeat(40) },
      { ...bare, voice: 'cleo', seed: 8, speed: 2 },
      { ...job, steps: 16, cfg_strength: 0 },
      { ...job, text: 'With a [pause:0.2s] pause, and [cleo] another voice.', steps: 7 },
      { ...bare, voice: 'anna', sway_sampling_coef: 0, sample_rate: 16_000 },
      { ...bare, voice: 'cleo', text: 'Nothing but silence is cut.', remove_silence: true },
      { ...job, duration: 3, cross_fade: 0, target_rms: 0.2 },
    ];
    const alone: Buffer[] = [];
    for (const input of jobs) alone.push(soundOf(await run(input)));
    for (const time of ['once', 'twice']) {
      const together = (await Promise.all(jobs.map(run))).map(soundOf);
      for (const [at, sound] of together.entries()) {
        assert.equal(sound.toString('latin1', 0, 4), 'RIFF');
        assert.ok(alone[at]?.equals(sound), `job ${at}, ${time}: ${sound.length} bytes`);
      }
    }
    assert.equal(new Set(alone.map((sound) => sound.toString('base64'))).size, jobs.length);
  });

  test('formats and rates', { skip: !hasFfmpeg && 'there is no ffmpeg' }, async () => {
    const marks = { mp3: /^ID3|^\xff[\xf2\xf3\xfa\xfb]/, opus: /^OggS/, flac: /^fLaC/ };
    for (const [format, mark] of Object.entries(marks)) {
      const { duration, ...output } = await run({ ...job, format });
      const bytes = soundOf({ duration, ...output });
      assert.match(bytes.toString('latin1', 0, 4), mark);
      const decoded = await decodeAudio(bytes, { sampleRate: 24_000 });
      assert.ok(Math.abs(decoded.length / 24_000 - duration) < 0.1, format);
    }
    const output = await run({ ...job, format: 'wav', sample_rate: 8000 });
    assert.equal(output.sample_rate, 8000);
    assert.equal(soundOf(output).readUInt32LE(24), 8000);
    assert.ok(Math.abs((soundOf(output).length - 44) / 16_000 - output.duration) < 1e-3);
  });

  test('a spectrogram comes beside the sound where it is asked for', async () => {
    const { spectrogram_base64: png } = await run({ ...job, spectrogram: true });
    const bytes = Buffer.from(png ?? '', 'base64');
    assert.equal(bytes.toString('latin1', 1, 4), 'PNG');
    assert.ok(bytes.readUInt32BE(16) > 100 && bytes.readUInt32BE(20) === 400);
  });

  test('a stream sends chunk by chunk what together is the file', async () => {
    const input = { ...job, text: 'One sentence of many. '.repeat(30), stream: true };
    const bytesOf = async (): Promise<[Buffer, Record<string, unknown>[]]> => {
      const { id } = await endpoint.run({ input });
      const { status, error } = await settled(endpoint, id);
      assert.equal(status, 'COMPLETED', error);
      const chunks = posted
        .filter((call) => call.kind === 'job-stream' && call.jobId === id)
        .map(({ body }) => (JSON.parse(body) as { output: Record<string, unknown> }).output);
      const sounds = chunks.map(({ audio_base64: sound }) => Buffer.from(String(sound), 'base64'));
      return [Buffer.concat(sounds), chunks];
    };
    const [wav, chunks] = await bytesOf();
    assert.ok(chunks.length > 2);
    assert.equal(wav.toString('latin1', 0, 4), 'RIFF');
    for (const chunk of chunks.slice(0, -1)) {
      assert.deepEqual(Object.keys(chunk), ['audio_base64', 'format']);
    }
    const last = chunks.at(-1) as SpeechOutput;
    assert.deepEqual(speechOutputSchema.strict().parse(last), last);
    assert.equal((wav.length - 44) / 48_000, last.duration);
    assert.equal(last.seed, 7);
    assert.ok((await bytesOf())[0].equals(wav));
  });

  test('a large or asked for sound goes to the bucket', async (t) => {
    const s3 = needS3(server, t);
    if (s3 === undefined) return;
    const output = await run({ ...job, output: 'url', format: 'pcm' });
    assert.equal(output.audio_base64, undefined);
    assert.ok(Date.parse(output.expires_at ?? '') > Date.now());
    const response = await s3.open(output.audio_url ?? '');
    const stored = Buffer.from(await response.arrayBuffer());
    assert.ok(stored.equals(soundOf(await run({ ...job, output: 'auto', format: 'pcm' }))));
    assert.match(output.audio_url ?? '', /speech\.pcm\?/);
  });

  test("the worker's voices bring their settings, which the job overrides", async () => {
    const named = { ...bare, seed: undefined, steps: undefined, voice: 'anna' };
    const anna = await run(named);
    assert.equal(anna.seed, 3);
    const slow = await run({ ...named, speed: 1 });
    assert.ok(slow.duration > 1.9 * anna.duration);
    assert.equal((await run({ ...named, seed: 9 })).seed, 9);
    const both = await run({ ...bare, voice: 'ben', text: 'Ben speaks. [anna] Anna speaks, too.' });
    assert.ok(both.duration > 0);
  });

  test('a reference without text is heard', { skip: whyNotReal(false) }, async () => {
    const silent = { ...bare, reference_audio_base64 };
    const output = await run(silent);
    // Heard or given, it is the same text but for a comma.
    const given = await run(job);
    assert.ok(Math.abs(output.duration - given.duration) < 0.1 * given.duration);
    assert.equal(loads.filter((line) => line.includes(baseFolder)).length, 1);
    await run(silent);
    assert.equal(loads.filter((line) => line.includes(baseFolder)).length, 1);
  });

  test('each kind of bad input has its code, and the worker lives on', async () => {
    const rows: [object, string, RegExp][] = [
      [{ ...job, top_k: 3 }, 'JOB_INVALID', /top_k.*Higgs/],
      [{ ...job, stream: true, output: 'url' }, 'JOB_INVALID', /stream/],
      [bare, 'JOB_INVALID', /send voice, reference_audio/],
      [{ ...job, model: 'tiny.en' }, 'MODEL_UNSUPPORTED', /cannot speak/],
      [{ ...job, model: 'gigantic' }, 'MODEL_UNKNOWN', /tiny, f5-tts-v1-base/],
      [{ ...job, model: 'f5-tts' }, 'MODEL_NOT_FOUND', /offline/],
      [{ text: 'Hi', model: 'higgs-audio-v2' }, 'MODEL_UNSUPPORTED', /higgs-audio-v2/],
      [{ ...bare, voice: 'bob' }, 'VOICE_UNKNOWN', /anna, ben, cleo/],
      [{ ...job, text: 'Hello [bob].' }, 'INVALID_ARGUMENT', /no voice "bob"/],
      [{ ...job, text: 'Hello [pause:1h].' }, 'INVALID_ARGUMENT', /no pause/],
      [{ ...job, reference_audio_base64: '!!' }, 'JOB_INVALID', /reference_audio_base64 is not/],
      [{ ...bare, reference_audio: `${url}/none` }, 'DOWNLOAD_FAILED', /404/],
      [{ ...bare, reference_audio: 'file:///etc/passwd' }, 'URL_FORBIDDEN', /file:/],
      [{ ...job, reference_text: '...' }, 'INVALID_ARGUMENT', /no letter or digit/],
      [{ ...bare, reference_audio: `${url}/long.wav` }, 'AUDIO_TOO_LARGE', /600 s/],
    ];
    for (const [input, code, message] of rows) {
      const failure = await failureOf(input);
      const shown = JSON.stringify({ ...input, reference_audio_base64: '...' }).slice(0, 200);
      assert.equal(failure['code'], code, `${shown}: ${failure['error_message']}`);
      assert.match(failure['error_message'] ?? '', message);
    }
    await run(job);
  });

  test('a job that is cancelled ends', async () => {
    const text = 'A very long text. '.repeat(2000);
    const { id } = await endpoint.run({ input: { ...job, text, steps: 128 } });
    const reported = (): boolean =>
      posted.some((call) => call.jobId === id && call.body.includes('"fraction"'));
    await eventually('progress', reported, 20_000);
    await endpoint.cancel(id);
    assert.equal((await settled(endpoint, id)).status, 'CANCELLED');
    await run(job);
  });

  test('without a bucket only a link is refused', async () => {
    const own = await LocalPlatform.start();
    const client = endpointOf(own);
    const handler = jobHandler({
      ...{ pool, allowPrivateUrls: false, buckets: JobBuckets.fromEnvironment({}) },
      speechModels: new Map([['tiny', join(folder, 'tiny')]]),
    });
    const second = startWorker(own, { handler });
    try {
      const { id } = await client.run({ input: { ...job, output: 'url' } });
      const failed = await settled(client, id);
      assert.equal(errorIn(failed.error)['code'], 'BUCKET_NOT_CONFIGURED');
      const next = await client.run({ input: { ...job, model: null } });
      const { status, output } = await settled(client, next.id);
      assert.equal(status, 'COMPLETED');
      assert.equal((output as SpeechOutput).model, 'tiny');
    } finally {
      await second.stop();
      await own.close();
    }
  });
});
