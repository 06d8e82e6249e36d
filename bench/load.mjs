// From a model's folder to a model that is ready, beside a plain read of the same bytes, with the page
// cache cold and warm. Each measurement is a process of its own.
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `node bench/load.mjs FOLDER... [options]
  --runs N   measurements of each kind, default 5; the median is shown`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '5' },
    measure: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});

/** The weights: what a plain read must read, too. */
function filesOf(folder) {
  return readdirSync(folder)
    .map((name) => realpathSync(join(folder, name)))
    .filter((path) => statSync(path).isFile() && /\.(safetensors|bin|json|txt)$/.test(path));
}

function plainRead(folder) {
  const buffer = Buffer.allocUnsafe(8 << 20);
  let bytes = 0;
  for (const path of filesOf(folder)) {
    const file = openSync(path);
    for (let got; (got = readSync(file, buffer)) > 0;) bytes += got;
    closeSync(file);
  }
  return bytes;
}

if (values.measure) {
  const [folder] = positionals;
  let result;
  if (values.measure === 'read') {
    const started = performance.now();
    const bytes = plainRead(folder);
    result = { seconds: (performance.now() - started) / 1000, bytes };
  } else {
    const { Whisper } = await import('../dist/lib/index.js');
    const { loadNative } = await import('../dist/lib/binding.js');
    const opening = performance.now();
    loadNative();
    const started = performance.now();
    const whisper = await Whisper.load(folder);
    result = {
      seconds: (performance.now() - started) / 1000,
      libtorch: (started - opening) / 1000,
    };
    await whisper.dispose();
  }
  console.log(JSON.stringify(result));
  process.exit();
}

if (values.help || positionals.length === 0) {
  console.log(HELP);
  process.exit(values.help ? 0 : 2);
}

/** dd asks the kernel to drop a file's pages, which needs no privileges. */
function forget(folder) {
  for (const path of filesOf(folder)) {
    execFileSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
  }
}

function measure(kind, folder) {
  const self = fileURLToPath(import.meta.url);
  const run = spawnSync(process.execPath, [self, '--measure', kind, folder], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(run.stdout);
}

function median(numbers) {
  return numbers.sort((a, b) => a - b)[numbers.length >> 1];
}

console.log(`${cpus()[0]?.model}, ${cpus().length} cores, load before ${loadavg()[0].toFixed(2)}`);
console.log('| folder | MB | page cache | plain read s | load s | ratio | opening libtorch s |');
console.log('| --- | --- | --- | --- | --- | --- | --- |');
for (const folder of positionals) {
  for (const cache of ['cold', 'warm']) {
    const reads = [];
    const loads = [];
    const libtorch = [];
    let bytes = 0;
    plainRead(folder);
    for (let run = 0; run < Number(values.runs); run += 1) {
      if (cache === 'cold') forget(folder);
      const read = measure('read', folder);
      if (cache === 'cold') forget(folder);
      const load = measure('load', folder);
      bytes = read.bytes;
      reads.push(read.seconds);
      loads.push(load.seconds);
      libtorch.push(load.libtorch);
    }
    const [read, load] = [median(reads), median(loads)];
    const cells = [folder.split('/').at(-1), (bytes / 1e6).toFixed(0), cache];
    const times = [read, load, load / read, median(libtorch)].map((value) => value.toFixed(2));
    console.log(`| ${[...cells, ...times].join(' | ')} |`);
  }
}
