// A worker from its process's start to its first result, phase by phase: with the model in a tier, in
// a bucket and on a hub. Hub and bucket are servers on this machine, so what is shown is what voxpod
// itself takes; the way of the bytes comes on top.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findLibtorch } from '../dist/lib/libtorch.js';
import { LocalPlatform } from '../dist/src/server/platform.js';

const HELP = `node bench/coldstart.mjs MODEL_FOLDER AUDIO_FILE [options]
  --runs N      starts of each kind, default 3; the median is shown
  --warm        leave the page cache alone; else the model's files are dropped from it
A bucket is measured where AWS_* and VOXPOD_S3_BUCKET name one: put it near.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    warm: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h' },
  },
});
const [modelFolder, audioFile] = positionals;
if (values.help || audioFile === undefined) {
  console.log(HELP);
  process.exit(values.help ? 0 : 2);
}

const MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const work = mkdtempSync(join(tmpdir(), 'voxpod-coldstart-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));

/** The part of the hub's API that the store uses, over one folder. */
async function startHub() {
  const files = readdirSync(modelFolder).map((name) => {
    const path = realpathSync(join(modelFolder, name));
    const { size } = statSync(path);
    const hash = createHash('sha256').update(readFileSync(path)).digest('hex');
    return { name, path, size, hash };
  });
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    const json = (value) => response.end(JSON.stringify(value));
    if (url.includes('/revision/')) {
      return json({ sha: COMMIT, siblings: files.map(({ name }) => ({ rfilename: name })) });
    }
    if (url.includes('/tree/')) {
      return json(
        files.map(({ name, size, hash }) => ({
          ...{ type: 'file', path: name, size, oid: '0'.repeat(40), lfs: { oid: hash, size } },
        })),
      );
    }
    const file = files.find(({ name }) => url.endsWith(`/${name}`));
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, { 'content-length': file.size });
    return createReadStream(file.path, { highWaterMark: 1 << 20 }).pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** One life of a worker: seconds to its first result, and the phases that it logs. */
async function life(model, env) {
  const platform = await LocalPlatform.start();
  const scratch = mkdtempSync(join(work, 'life-'));
  const input = { audio_base64: readFileSync(audioFile).toString('base64'), beam_size: 1 };
  const first = platform.run(input);
  const started = performance.now();
  const worker = spawn(process.execPath, [MAIN, 'worker', '--model', model], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: process.env.PATH,
      HOME: scratch,
      LIBTORCH: findLibtorch().libtorch?.directory,
      ...platform.environment('cold'),
      VOXPOD_SCRATCH: scratch,
      VOXPOD_VOLUME_CACHE: '',
      VOXPOD_EMERGENCY_CACHE: '',
      VOXPOD_BUILD_CACHE: join(scratch, 'models'),
      ...env,
    },
  });
  const exited = once(worker, 'exit');
  const died = exited.then(([code]) => {
    throw new Error(`the worker ended with ${code}`);
  });
  died.catch(() => undefined);
  const { status, error } = await Promise.race([first, died]);
  const seconds = (performance.now() - started) / 1000;
  if (status !== 'COMPLETED') throw new Error(error);
  worker.kill('SIGTERM');
  await exited;
  await platform.close();
  const report = JSON.parse(readFileSync(join(scratch, 'analytics.json'), 'utf8'));
  return { seconds, phases: report.coldStart };
}

function forget() {
  if (values.warm) return;
  for (const name of readdirSync(modelFolder)) {
    const path = realpathSync(join(modelFolder, name));
    spawn('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none'], { stdio: 'ignore' });
  }
}

function median(numbers) {
  return numbers.sort((a, b) => a - b)[numbers.length >> 1];
}

const hub = await startHub();
const tier = join(work, 'tier');
const dead = { HF_ENDPOINT: 'http://127.0.0.1:9', AWS_ACCESS_KEY_ID: '' };
const kinds = [
  { name: 'hub', model: 'org/model', env: { HF_ENDPOINT: hub.url } },
  { name: 'tier', model: 'org/model', env: { ...dead, VOXPOD_BUILD_CACHE: tier } },
  { name: 'folder', model: modelFolder, env: dead },
];
if (process.env.VOXPOD_S3_BUCKET) {
  const bucket = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => /^(AWS_|VOXPOD_S3_)/.test(name)),
  );
  kinds.splice(1, 0, {
    name: 's3',
    model: 'org/model',
    env: { ...bucket, HF_ENDPOINT: dead.HF_ENDPOINT },
  });
}
// Fills the tier; the bucket is filled with "voxpod models push" or by an earlier worker.
await life('org/model', { HF_ENDPOINT: hub.url, VOXPOD_BUILD_CACHE: tier });

console.log(`${cpus()[0]?.model}, ${cpus().length} cores, load before ${loadavg()[0].toFixed(2)}`);
const phases = ['processes', 'libtorch', 'addon', 'model files', 'weights'];
console.log(`| from | ${phases.join(' | ')} | first result s |`);
console.log(`| --- | ${phases.map(() => '---').join(' | ')} | --- |`);
for (const { name, model, env } of kinds) {
  const lives = [];
  for (let run = 0; run < Number(values.runs); run += 1) {
    forget();
    lives.push(await life(model, env));
  }
  const cells = phases.map((phase) =>
    median(
      lives.map((one) => one.phases.find((entry) => entry.phase === phase)?.seconds ?? 0),
    ).toFixed(2),
  );
  console.log(
    `| ${name} | ${cells.join(' | ')} | ${median(lives.map(({ seconds }) => seconds)).toFixed(2)} |`,
  );
}
hub.close();
