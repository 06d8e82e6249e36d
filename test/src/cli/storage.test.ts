/** The commands that look after models and disks, as their user runs them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LocalHub } from '../storage/local_hub.js';
import { needS3, s3Environment, startS3Server } from '../storage/s3_server.js';
import { temporaryFolder } from '../storage/temporary.js';

const MAIN = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));

const s3 = await startS3Server();

interface Fixture {
  cache: string;
  hub: LocalHub;
  run: (
    args: string[],
    env?: NodeJS.ProcessEnv,
  ) => Promise<{ code: number | null; out: string; err: string }>;
}

async function fixture(t: TestContext): Promise<Fixture> {
  const hub = new LocalHub();
  const endpoint = await hub.listen();
  t.after(() => hub.close());
  hub.repositories.set('org/model', {
    commit: randomBytes(20).toString('hex'),
    files: new Map([
      ['config.json', Buffer.from('{}')],
      ['tokenizer.json', randomBytes(3000)],
      ['model.safetensors', randomBytes(500_000)],
    ]),
  });
  // What the doctor asks for.
  hub.repositories.set('openai/whisper-tiny', { commit: '', files: new Map() });
  hub.intercept = (request, response) => {
    if (request.url !== '/api/models/openai/whisper-tiny') return false;
    response.end('{}');
    return true;
  };
  const cache = await temporaryFolder(t);
  return {
    cache,
    hub,
    run: async (args, env = {}) => {
      const child = spawn(process.execPath, [MAIN, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env['PATH'],
          HOME: cache,
          VOXPOD_CACHE: cache,
          HF_ENDPOINT: endpoint,
          ...env,
        },
      });
      const [out, err] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'close'),
      ]);
      return { code: child.exitCode, out, err };
    },
  };
}

test('a model is pulled, listed, verified, found corrupt, pulled again and deleted', async (t) => {
  const { run, cache } = await fixture(t);
  const empty = await run(['models', 'list']);
  assert.equal(empty.out, 'There are no models yet.\n');

  const pulled = await run(['models', 'pull', 'org/model']);
  assert.equal(pulled.code, 0, pulled.err);
  assert.match(pulled.out, /^org\/model: from hub, .*\/snapshots\/[0-9a-f]{40}\n$/);
  assert.match(pulled.err, /org\/model: 100% of 503\.0 kB/);
  const again = await run(['models', 'pull', 'org/model']);
  assert.match(again.out, /there already/);

  const listed = await run(['models', 'list']);
  assert.match(
    listed.out,
    /^model +tier +size +used +state +folder\norg\/model +user +\d+\.\d kB +just now +whole +\//,
  );
  const json = JSON.parse((await run(['models', 'list', '--json'])).out) as unknown[];
  assert.equal(json.length, 1);

  const whole = await run(['models', 'verify', 'org/model']);
  assert.equal(whole.code, 0, whole.err);
  assert.match(whole.out, /^org\/model \(user\): 3 files, 503\.0 kB, as published\n$/);

  const blobs = join(cache, 'models', 'models--org--model', 'blobs');
  const largest = (await readdir(blobs)).find((name) => name.length === 64) ?? '';
  await writeFile(join(blobs, largest), randomBytes(500_000));
  const corrupt = await run(['models', 'verify']);
  assert.equal(corrupt.code, 1);
  assert.match(corrupt.out, /org\/model \(user\): .*put aside/);
  assert.match((await run(['models', 'pull', 'org/model'])).out, /from hub/);
  assert.equal((await run(['models', 'verify', 'org/model'])).code, 0);

  const removed = await run(['models', 'rm', 'org/model']);
  assert.match(removed.out, /org\/model: \d+\.\d kB deleted from user/);
  const gone = await run(['models', 'rm', 'org/model']);
  assert.equal(gone.code, 1);
  assert.match(gone.err, /in no tier.*MODEL_NOT_FOUND/);
});

test('a speech model is pulled, listed, verified and deleted by its name; it cannot transcribe', async (t) => {
  const { run, hub } = await fixture(t);
  const folder = 'F5TTS_v1_Base';
  hub.repositories.set('SWivid/F5-TTS', {
    commit: 'f5'.repeat(20),
    files: new Map([
      [`${folder}/model_1250000.safetensors`, randomBytes(50_000)],
      [`${folder}/vocab.txt`, randomBytes(2000)],
      ['F5TTS_Base/model_1200000.safetensors', randomBytes(5000)],
    ]),
  });
  assert.equal((await run(['models', 'pull', 'f5-tts'])).code, 0);
  const listed = await run(['models', 'list']);
  assert.match(listed.out, /^f5-tts-v1-base +user .*whole/m);
  const verified = await run(['models', 'verify', 'f5-tts-v1-base']);
  assert.match(verified.out, /f5-tts-v1-base \(user\): 2 files, 52\.0 kB, as published/);
  const transcribed = await run(['transcribe', '--model', 'f5-tts', 'none.wav']);
  assert.equal(transcribed.code, 1);
  assert.match(transcribed.err, /f5-tts cannot transcribe/);
  assert.match((await run(['models', 'rm', 'f5-tts'])).out, /deleted from user/);
  assert.equal((await run(['models', 'verify', 'f5-tts'])).code, 1);
});

test('the tiers are shown, cleared up, and migrated between', async (t) => {
  const { run, cache } = await fixture(t);
  const tiers = {
    VOXPOD_CACHE: '',
    RUNPOD_POD_ID: 'pod',
    VOXPOD_SCRATCH: join(cache, 'scratch'),
    VOXPOD_VOLUME_CACHE: '',
    VOXPOD_BUILD_CACHE: join(cache, 'build'),
    VOXPOD_EMERGENCY_CACHE: '',
  };
  assert.equal((await run(['models', 'pull', 'org/model'], tiers)).code, 0);
  const status = await run(['cache', 'status'], tiers);
  assert.match(status.out, /\nbuild +1 +\d+\.\d kB +.* no +\/.*\/build\n$/);

  // The volume comes later: the model moves there, and the copy goes.
  const mounted = { ...tiers, VOXPOD_VOLUME_CACHE: join(cache, 'volume') };
  const migrated = await run(['cache', 'migrate', '--remove-source'], mounted);
  assert.match(migrated.out, /org\/model: .* from build to volume/, migrated.err);
  const listed = await run(['models', 'list'], mounted);
  assert.match(listed.out, /org\/model +volume /);
  assert.doesNotMatch(listed.out, /org\/model +build /);
  const json = JSON.parse((await run(['cache', 'status', '--json'], mounted)).out) as {
    name: string;
    models: number;
  }[];
  assert.deepEqual(
    json.map(({ name, models }) => [name, models]),
    [
      ['volume', 1],
      ['build', 0],
    ],
  );
  const gc = await run(['cache', 'gc'], mounted);
  assert.match(gc.out, /^\d+(\.\d)? k?B were freed\.\n$/);
});

test('wrong names and settings are refused with what is right', async (t) => {
  const { run } = await fixture(t);
  const unknown = await run(['models', 'pull', 'org/model', 'bass']);
  assert.equal(unknown.code, 2);
  assert.match(unknown.err, /base/);
  const settings = await run(['cache', 'status'], { VOXPOD_CACHE_BYTES: 'lots' });
  assert.equal(settings.code, 2);
  assert.match(settings.err, /VOXPOD_CACHE_BYTES.*lots/);
});

test('the doctor says of each thing that it is well, or what to do', async (t) => {
  const { run, cache } = await fixture(t);
  const well = await run(['doctor', '--json'], { VOXPOD_SCRATCH: join(cache, 'scratch') });
  const findings = JSON.parse(well.out) as { name: string; state: string; detail: string }[];
  const of = (name: string) => findings.find((finding) => finding.name === name);
  assert.deepEqual(
    findings.map(({ name }) => name),
    ['Node', 'addon', 'GPU', 'ffmpeg', 'temporary files', 'tiers', 'bucket', 'hub', 'clock'],
  );
  assert.equal(of('hub')?.state, 'ok', of('hub')?.detail);
  assert.equal(of('clock')?.state, 'ok', of('clock')?.detail);
  assert.equal(of('bucket')?.state, 'note');
  assert.match(of('bucket')?.detail ?? '', /AWS_ACCESS_KEY_ID/);

  await writeFile(join(cache, 'a-file'), '');
  const sick = await run(['doctor'], {
    HF_ENDPOINT: 'http://127.0.0.1:9',
    VOXPOD_CACHE: join(cache, 'a-file', 'x'),
  });
  assert.equal(sick.code, 1);
  assert.match(sick.out, /^BAD +hub +http:\/\/127\.0\.0\.1:9.*HF_ENDPOINT/m);
  assert.match(sick.out, /^BAD +tiers +user .*\/a-file\/x\/models: .*VOXPOD_CACHE/m);
  assert.match(sick.out, /^note +clock/m);
});

test('the doctor writes to the bucket, reads and deletes', async (t) => {
  const server = needS3(s3, t);
  if (server === undefined) return;
  const { run } = await fixture(t);
  const env = s3Environment(server, await server.createBucket());
  const well = await run(['doctor'], env);
  assert.match(well.out, /^ok +bucket +.*Written, read and deleted/m);
  const wrong = await run(['doctor'], { ...env, AWS_SECRET_ACCESS_KEY: 'not-the-right-one' });
  assert.equal(wrong.code, 1);
  assert.match(wrong.out, /^BAD +bucket +/m);
  assert.doesNotMatch(wrong.out, /not-the-right-one/);
});

test('a model is pushed to the bucket once, and pulled from it where there is no hub', async (t) => {
  const server = needS3(s3, t);
  if (server === undefined) return;
  const { run, cache } = await fixture(t);
  const none = await run(['models', 'push', 'org/model']);
  assert.equal(none.code, 1);
  assert.match(none.err, /AWS_ACCESS_KEY_ID.*BUCKET_NOT_CONFIGURED/);
  const env = {
    ...s3Environment(server, await server.createBucket()),
    VOXPOD_S3_PREFIX: 'below/here',
  };
  assert.equal((await run(['models', 'pull', 'org/model'])).code, 0);
  const pushed = await run(['models', 'push', 'org/model'], env);
  assert.equal(pushed.code, 0, pushed.err);
  assert.match(pushed.out, /^org\/model: 503\.0 kB of 503\.0 kB sent to /);
  const again = await run(['models', 'push', 'org/model'], env);
  assert.match(again.out, /^org\/model: 0 B of 503\.0 kB/);
  const elsewhere = {
    ...env,
    VOXPOD_CACHE: join(cache, 'elsewhere'),
    HF_ENDPOINT: 'http://127.0.0.1:9',
  };
  const pulled = await run(['models', 'pull', 'org/model'], elsewhere);
  assert.match(pulled.out, /^org\/model: from s3, /, pulled.err);
  assert.equal((await run(['models', 'verify', 'org/model'], elsewhere)).code, 0);
});
