// F5-TTS v1 Base with random weights beside the authors' PyTorch: seconds of a guided step by length,
// and of whole utterances by seconds of speech and steps. docs/benchmarks.md says how it is measured.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HELP = `node bench/f5.mjs [options]
  --weights FOLDER   where the random weights are, or are written to; default build/bench/f5
  --engines A,B      of voxpod, voxpod-float32, reference-bfloat16, reference-float32; default all
  --frames A,B       lengths for a single step, default 500,900,1400; 0 for none
  --seconds A,B      of speech for whole utterances, default 5,10,20; 0 for none
  --steps A,B        of these, default 7,16,32
  --reference-steps A,B   those that the reference is run with, default 7: it takes minutes
  --runs N           of each, in turn; the fastest counts; default 1
  --threads N        default 2
  --python PATH      default VOXPOD_BENCH_PYTHON; with torch, f5-tts, vocos
  --json FILE`;

const { values } = parseArgs({
  options: {
    weights: { type: 'string', default: 'build/bench/f5' },
    engines: { type: 'string' },
    frames: { type: 'string', default: '500,900,1400' },
    seconds: { type: 'string', default: '5,10,20' },
    steps: { type: 'string', default: '7,16,32' },
    'reference-steps': { type: 'string', default: '7' },
    runs: { type: 'string', default: '1' },
    threads: { type: 'string', default: '2' },
    python: { type: 'string', default: process.env.VOXPOD_BENCH_PYTHON ?? 'python3' },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const numbers = (text) => text.split(',').map(Number).filter(Boolean);
const threads = Number(values.threads);
/** Frames of the reference recording, 5 s, and of a second. */
const CONDITION = 469;
const PER_SECOND = 93.75;
/** Steps that one step's time is taken from, after one to begin with. */
const TIMED_STEPS = 3;

const ENGINES = {
  voxpod: { script: 'f5_voxpod.mjs', dtype: 'auto' },
  'voxpod-float32': { script: 'f5_voxpod.mjs', dtype: 'float32' },
  'reference-bfloat16': { script: 'f5_reference.py', dtype: 'bfloat16' },
  'reference-float32': { script: 'f5_reference.py', dtype: 'float32' },
};
const engines = values.engines?.split(',') ?? Object.keys(ENGINES);
for (const name of engines) {
  if (!Object.hasOwn(ENGINES, name)) throw new Error(`No engine is called ${name}\n${HELP}`);
}

if (!existsSync(join(values.weights, 'vocos', 'pytorch_model.bin'))) {
  mkdirSync(values.weights, { recursive: true });
  console.error(`Writing random weights to ${values.weights}...`);
  run(values.python, [here('peers/f5_reference.py'), 'write', values.weights]);
}

function run(program, parameters) {
  const { status, stdout, stderr, error } = spawnSync(program, parameters, {
    encoding: 'utf8',
    env: { ...process.env, OMP_NUM_THREADS: values.threads, MKL_NUM_THREADS: values.threads },
  });
  if (status !== 0) throw error ?? new Error(stderr.trim().split('\n').at(-1));
  return stdout;
}

/** The fastest of all runs of an engine, or `{ skipped }` with the reason. */
function measure(name, request) {
  const { script, dtype } = ENGINES[name];
  const settings = JSON.stringify({ threads, dtype, ...request });
  const own = script.endsWith('.mjs');
  try {
    const all = Array.from({ length: Number(values.runs) }, () =>
      own
        ? run(process.execPath, [here(`peers/${script}`), values.weights, settings])
        : run(values.python, [here(`peers/${script}`), 'measure', settings]),
    ).map((text) => JSON.parse(text.trim().split('\n').at(-1)));
    return all.reduce((best, one) => (total(one) < total(best) ? one : best));
  } catch (error) {
    return { skipped: error.message };
  }
}

const total = ({ seconds, vocoder }) => seconds + vocoder;
const rows = [];

function record(row) {
  rows.push(row);
  const { engine, skipped, what, figures } = row;
  console.log(`| ${what} | ${engine} | ${skipped ?? figures.join(' | ')} |`);
}

console.log(`${cpus()[0]?.model}, ${threads} threads, Node ${process.version}`);
console.log('| frames | engine | seconds a guided step | peak MB |\n| --- | --- | --- | --- |');
for (const frames of numbers(values.frames)) {
  for (const engine of engines) {
    const condition = Math.min(CONDITION, Math.round(frames / 2));
    const result = measure(engine, { condition, frames, tokens: 150, steps: TIMED_STEPS });
    const { skipped, seconds, peakBytes } = result;
    const figures = skipped
      ? []
      : [(seconds / TIMED_STEPS).toFixed(3), (peakBytes / 1e6).toFixed(0)];
    record({ engine, skipped, what: String(frames), figures, frames, ...result });
  }
}

console.log('\n| speech, steps | engine | seconds | of it vocoder | for a second of speech |');
console.log('| --- | --- | --- | --- | --- |');
for (const speech of numbers(values.seconds)) {
  for (const steps of numbers(values.steps)) {
    for (const engine of engines) {
      const reference = engine.startsWith('reference');
      if (reference && !numbers(values['reference-steps']).includes(steps)) continue;
      const frames = CONDITION + Math.round(speech * PER_SECOND);
      const tokens = Math.round(15 * (5 + speech));
      const result = measure(engine, { condition: CONDITION, frames, tokens, steps });
      const { skipped, vocoder } = result;
      const figures = skipped
        ? []
        : [total(result), vocoder, total(result) / speech].map((value) => value.toFixed(2));
      record({
        ...{ engine, skipped, what: `${speech} s, ${steps}`, figures },
        ...{ speech, steps, ...result },
      });
    }
  }
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
