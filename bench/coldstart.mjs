// A worker from its process's start to its first result, phase by phase: with the model in a tier, in
// a bucket and on a hub. Hub and bucket are servers on this machine, so what is shown is what voxpod
// itself takes; the way of the bytes comes on top.
import { fork, spawn, spawnSync } from 'node:child_process';
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
  writeFileSync,
} from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findLibtorch } from '../dist/lib/libtorch.js';
import { LocalPlatform } from '../dist/src/server/platform.js';

const HELP = `node bench/coldstart.mjs MODEL_FOLDER AUDIO_FILE [options]
  --runs N      starts of each kind, default 3; the median is shown
  --only A,B    of hub, bucket, tier, folder
  --warm        leave the page cache alone; else the files that a worker finds are dropped from it
  --json FILE   every start's figures
The bucket is a server in memory on this machine, unless AWS_* and VOXPOD_S3_BUCKET name another.`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    only: { type: 'string', default: 'hub,bucket,tier,folder' },
    warm: { type: 'boolean', default: false },
    json: { type: 'string' },
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

/** What names the bucket to voxpod: the caller's own, else one in memory. */
async function startBucket() {
  if (process.env.VOXPOD_S3_BUCKET) {
    const own = Object.entries(process.env).filter(([name]) => /^(AWS_|VOXPOD_S3_)/.test(name));
    return { env: Object.fromEntries(own), close: () => undefined };
  }
  const server = fork(fileURLToPath(new URL('peers/bucket.mjs', import.meta.url)));
  const [{ url }] = await once(server, 'message');
  const env = {
    ...{ AWS_ENDPOINT_URL: url, AWS_REGION: 'us-east-1', VOXPOD_S3_BUCKET: 'models' },
    ...{ AWS_ACCESS_KEY_ID: 'AKIANOBODYATALL', AWS_SECRET_ACCESS_KEY: 'a-secret-of-nobody' },
  };
  return { env, close: () => server.disconnect() };
}

/** Fills the bucket as its user would. */
function push(env) {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'models', 'push', MODEL], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: work, ...onlyTier(tier), ...env },
  });
  if (status !== 0) throw new Error(stderr);
}

function onlyTier(path) {
  const others = { VOXPOD_VOLUME_CACHE: '', VOXPOD_EMERGENCY_CACHE: '' };
  return { ...others, VOXPOD_BUILD_CACHE: path };
}

/**
 * One life of a worker: seconds to its first result, and the phases that it logs. What none of them
 * covers is "rest": checks of the machine, the taking of the job, its transcription and delivery.
 */
async function life({ name, model, env }) {
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
      ...onlyTier(join(scratch, 'models')),
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
  const { coldStart, fetched } = JSON.parse(readFileSync(join(scratch, 'analytics.json'), 'utf8'));
  rmSync(scratch, { recursive: true });
  const sources = Object.keys(fetched);
  if (sources.join() !== (SOURCES[name] ?? '')) {
    throw new Error(`${name}: the model came from ${sources.join(', ') || 'the disk'}`);
  }
  const phases = Object.fromEntries(coldStart.map(({ phase, seconds: took }) => [phase, took]));
  phases.rest = seconds - coldStart.reduce((sum, { seconds: took }) => sum + took, 0);
  return { seconds, phases };
}

/** Drops what a worker finds on the disk from the page cache, so that it is read from the disk. */
function forget(folder) {
  if (values.warm) return;
  spawnSync('sync');
  for (const name of readdirSync(folder, { recursive: true })) {
    const path = realpathSync(join(folder, name));
    if (!statSync(path).isFile()) continue;
    spawnSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
  }
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

/** Of the CPU's features those that decide how fast the model is. */
function machine() {
  const flags =
    /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1].split(' ') ?? [];
  const known = ['avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'].filter((flag) =>
    flags.includes(flag),
  );
  return `${cpus()[0]?.model}, ${cpus().length} cores (${known.join(' ')}), Node ${process.version}`;
}

const MODEL = 'org/model';
/** Where each kind must have fetched the model from. */
const SOURCES = { hub: 'hub', bucket: 's3', fill: 'hub' };
const tier = join(work, 'tier');
const hub = await startHub();
const bucket = await startBucket();
const dead = { HF_ENDPOINT: 'http://127.0.0.1:9' };
const kinds = [
  { name: 'hub', model: MODEL, env: { HF_ENDPOINT: hub.url } },
  { name: 'bucket', model: MODEL, env: { ...dead, ...bucket.env } },
  { name: 'tier', model: MODEL, env: { ...dead, VOXPOD_BUILD_CACHE: tier }, reads: tier },
  { name: 'folder', model: modelFolder, env: dead, reads: modelFolder },
].filter(({ name }) => values.only.split(',').includes(name));

await life({ name: 'fill', model: MODEL, env: { HF_ENDPOINT: hub.url, VOXPOD_BUILD_CACHE: tier } });
push(bucket.env);

console.log(
  `${machine()}; load before ${loadavg()[0].toFixed(2)}; median of ${values.runs}; seconds`,
);
const phases = ['processes', 'libtorch', 'addon', 'model files', 'weights', 'rest'];
console.log(`| from | ${phases.join(' | ')} | first result |`);
console.log(`| --- | ${phases.map(() => '---').join(' | ')} | --- |`);
const figures = [];
for (const kind of kinds) {
  const lives = [];
  for (let run = 0; run < Number(values.runs); run += 1) {
    if (kind.reads !== undefined) forget(kind.reads);
    lives.push(await life(kind));
  }
  figures.push({ from: kind.name, lives });
  const columns = phases.map((phase) => lives.map((one) => one.phases[phase] ?? 0));
  columns.push(lives.map(({ seconds }) => seconds));
  const cells = columns.map((numbers) => median(numbers).toFixed(2));
  console.log(`| ${kind.name} | ${cells.join(' | ')} |`);
}
if (values.json !== undefined) {
  writeFileSync(values.json, `${JSON.stringify({ machine: machine(), figures }, null, 2)}\n`);
}
hub.close();
bucket.close();
