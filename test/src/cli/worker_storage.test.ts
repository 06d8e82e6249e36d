/** Where a worker's model comes from at one cold start, and at the next. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findLibtorch } from '../../../lib/libtorch.js';
import type { AnalyticsReport } from '../../../src/analytics/analytics.js';
import { LocalPlatform } from '../../../src/server/platform.js';
import { Bucket } from '../../../src/storage/bucket.js';
import { clip, tinyFolder, whyNotReal } from '../models/real.js';
import { endpointOf, eventually, settled } from '../runpod/support.js';
import { LocalHub } from '../storage/local_hub.js';
import { needS3, s3Environment, startS3Server } from '../storage/s3_server.js';
import { temporaryFolder } from '../storage/temporary.js';

const MAIN = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url));
const s3 = await startS3Server();
const skip = whyNotReal(true);

test(
  'from the hub at first, into the bucket meanwhile, from the bucket next, and then from the volume',
  { skip },
  async (t) => {
    const server = needS3(s3, t);
    if (server === undefined) return;
    const hub = new LocalHub();
    const hubUrl = await hub.listen();
    hub.repositories.set('org/tiny', {
      commit: '0123456789abcdef0123456789abcdef01234567',
      files: new Map(
        readdirSync(tinyFolder).map((name) => [
          name,
          readFileSync(realpathSync(join(tinyFolder, name))),
        ]),
      ),
    });
    const settings = await server.createBucket();
    const bucket = new Bucket(settings);
    t.after(() => bucket.dispose());
    const folder = await temporaryFolder(t);

    /** One worker from its start to its end: one job, and what `meanwhile` waits for. */
    const life = async (
      name: string,
      env: NodeJS.ProcessEnv,
      meanwhile: () => Promise<void> = () => Promise.resolve(),
    ): Promise<AnalyticsReport> => {
      const platform = await LocalPlatform.start();
      const endpoint = endpointOf(platform);
      const scratch = join(folder, name, 'scratch');
      const worker = spawn(process.execPath, [MAIN, 'worker', '--model', 'org/tiny'], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env['PATH'],
          HOME: folder,
          LIBTORCH: findLibtorch().libtorch?.directory,
          ...platform.environment(name),
          VOXPOD_SCRATCH: scratch,
          VOXPOD_VOLUME_CACHE: '',
          VOXPOD_BUILD_CACHE: join(folder, name, 'models'),
          VOXPOD_EMERGENCY_CACHE: '',
          HF_ENDPOINT: hubUrl,
          ...s3Environment(server, settings),
          ...env,
        },
      });
      let output = '';
      worker.stdout.on('data', (data: Buffer) => (output += data.toString()));
      worker.stderr.on('data', (data: Buffer) => (output += data.toString()));
      const exited = once(worker, 'exit');
      try {
        const audio = readFileSync(clip('jfk.wav')).toString('base64');
        const { id } = await endpoint.run({ input: { audio_base64: audio, beam_size: 1 } }, 20_000);
        const status = await settled(endpoint, id);
        assert.equal(status.status, 'COMPLETED', output);
        assert.match(JSON.stringify(status.output), /ask what you can do for your country/);
        await meanwhile();
      } finally {
        worker.kill('SIGTERM');
        await exited;
        await platform.close();
      }
      assert.equal(worker.exitCode, 0, output);
      // No line holds the key, and each is whole.
      assert.ok(!output.includes(settings.credentials.secretAccessKey));
      for (const line of output.trim().split('\n')) JSON.parse(line);
      return JSON.parse(readFileSync(join(scratch, 'analytics.json'), 'utf8')) as AnalyticsReport;
    };

    const isStored = async (): Promise<boolean> =>
      bucket.get('models/models--org--tiny/refs/main').then(
        async ({ body }) => {
          for await (const chunk of body) assert.ok(chunk.length > 0);
          return true;
        },
        () => false,
      );
    const first = await life('first', {}, () =>
      eventually('the model is in the bucket', isStored, 60_000),
    );
    assert.equal(first.fetched['hub']?.count, 1);
    const phases = first.coldStart.map(({ phase }) => phase);
    assert.deepEqual(phases, ['processes', 'libtorch', 'addon', 'model files', 'weights']);

    // No hub any more, and another container with an empty disk.
    await hub.close();
    const volume = join(folder, 'volume');
    const second = await life('second', { VOXPOD_VOLUME_CACHE: volume });
    assert.deepEqual(Object.keys(second.fetched), ['s3']);
    assert.ok(existsSync(join(volume, 'models--org--tiny')));

    const third = await life('third', { VOXPOD_VOLUME_CACHE: volume, AWS_ACCESS_KEY_ID: '' });
    assert.deepEqual(third.fetched, {});
    assert.ok((third.hits.volume ?? 0) > 0);
  },
);
