// A model from and to a bucket, beside plain parallel ranges and boto3, all with the same server.
import { execFileSync, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  mkdirSync,
  rmSync,
  writeFileSync,
  openSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `node bench/s3.mjs [options]
  --megabytes N      size of the model, default 2000
  --runs N           of each, in turn; default 3
  --folder DIR       on the disk to write to; default the system's temporary folder
  --python PATH      interpreter with boto3; default VOXPOD_BENCH_PYTHON, else without boto3
  --only A,B         of voxpod, raw, boto3
  --network N        a second time at so many MB/s, as a network of 10 Gbit/s has 1250; default 400,
                     0 for none
  --skip-upload
  --json FILE        the figures`;

const { values: options } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '2000' },
    runs: { type: 'string', default: '3' },
    folder: { type: 'string', default: tmpdir() },
    python: { type: 'string' },
    only: { type: 'string', default: 'voxpod,raw,boto3' },
    network: { type: 'string', default: '400' },
    'skip-upload': { type: 'boolean' },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (options.help) {
  console.log(HELP);
  process.exit(0);
}

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const python = options.python ?? (process.env.VOXPOD_BENCH_PYTHON || undefined);
const size = Number(options.megabytes) * 1e6;
const only = options.only.split(',');

const server = fork(here('peers/range_server.mjs'), [String(size)]);
const [{ url, bucket, key, sha256 }] = await once(server, 'message');
const folder = mkdtempSync(join(options.folder, 'voxpod-bench-s3-'));
const settings = JSON.stringify({
  ...{ bucket, prefix: '', endpoint: url, region: 'us-east-1', pathStyle: true },
  credentials: { accessKeyId: 'AKIANOBODYATALL', secretAccessKey: 'a-secret-of-nobody' },
  source: 'environment',
});

function run(program, args) {
  // What was written before is no burden on who comes next.
  spawnSync('sync');
  const output = execFileSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(output.trim().split('\n').at(-1));
}

const node = (script, ...args) => run(process.execPath, ['--expose-gc', here(script), ...args]);

const downloads = {
  voxpod: (target) => node('peers/s3_voxpod.mjs', 'down', settings, target),
  raw: (target) =>
    node('peers/s3_raw.mjs', `${url}/${bucket}/${key}`, String(size), join(target, 'raw')),
  boto3: (target) =>
    run(python, [here('peers/s3_boto3.py'), 'down', url, bucket, key, join(target, 'boto3')]),
};
const uploads = {
  voxpod: (source) => node('peers/s3_voxpod.mjs', 'up', settings, source),
  boto3: (source) =>
    run(python, [
      here('peers/s3_boto3.py'),
      'up',
      url,
      bucket,
      'upload',
      join(source, 'model.bin'),
    ]),
};

const names = Object.keys(downloads).filter(
  (name) => only.includes(name) && (name !== 'boto3' || python !== undefined),
);
const results = [];
const tasks = [];
async function prepare(order) {
  const ready = once(server, 'message');
  server.send(order);
  await ready;
}

function report(task, name, figures) {
  const rate = size / 1e6 / figures.seconds;
  results.push({ task, name, ...figures });
  console.log(
    `${task.padEnd(9)} ${name.padEnd(7)} ${figures.seconds.toFixed(2).padStart(6)} s ${rate.toFixed(0).padStart(5)} MB/s ${figures.cpu.toFixed(2).padStart(6)} s CPU ${(figures.memory / 1e6).toFixed(0).padStart(5)} MB above idle   load ${loadavg()[0].toFixed(1)}`,
  );
}

try {
  console.log(
    `${options.megabytes} MB, ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, load ${loadavg()[0].toFixed(1)}`,
  );
  for (const megabytesPerSecond of new Set([0, Number(options.network)])) {
    const task = megabytesPerSecond === 0 ? 'down' : `down ${megabytesPerSecond}`;
    tasks.push(task);
    for (let round = 0; round < Number(options.runs); round++) {
      for (const name of names) {
        await prepare({ megabytesPerSecond });
        const target = join(folder, 'down');
        mkdirSync(target);
        report(task, name, downloads[name](target));
        rmSync(target, { recursive: true });
      }
    }
  }
  if (!options['skip-upload']) {
    const source = join(folder, 'up');
    mkdirSync(source);
    const file = openSync(join(source, 'model.bin'), 'w');
    for (let left = size; left > 0; left -= 1e7) writeSync(file, randomBytes(Math.min(left, 1e7)));
    closeSync(file);
    for (let round = 0; round < Number(options.runs); round++) {
      for (const name of names.filter((one) => one in uploads)) {
        await prepare({ megabytesPerSecond: 0 });
        report('up', name, uploads[name](source));
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
  server.disconnect();
}

const middle = (task, name) => {
  const found = results.filter((one) => one.task === task && one.name === name);
  return found.map(({ seconds }) => seconds).sort((a, b) => a - b)[Math.floor(found.length / 2)];
};
for (const task of [...tasks, 'up']) {
  const own = middle(task, 'voxpod');
  for (const name of names.filter((one) => one !== 'voxpod')) {
    const other = middle(task, name);
    if (own && other)
      console.log(`${task}: ${(other / own).toFixed(2)} of ${name}'s speed (medians)`);
  }
}
if (options.json) writeFileSync(options.json, JSON.stringify({ size, sha256, results }, null, 1));
