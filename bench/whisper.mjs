// Whisper on real speech of several lengths: voxpod beside other engines in one run on one machine.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { englishClips } from '../dist/test/support/clips.js';
import { wordErrorRate } from '../dist/test/support/word_errors.js';
import { chooseEngines, Models, runEngine } from './engines.mjs';
import { markdown, textTable } from './report.mjs';
import { writeSpeech } from './speech.mjs';

const HELP = `node bench/whisper.mjs [options]
  --model NAME       base (default), tiny.en, ... or a folder
  --models FOLDER    holds whisper-NAME and faster-whisper-NAME; default VOXPOD_TEST_MODELS
  --clips FOLDER     NAME.wav with NAME.txt each; default VOXPOD_TEST_AUDIO
  --audio FILE --text FILE   one clip instead, repeated
  --lengths A,B      seconds of speech, default 11,60,600
  --threads N        default 2
  --engines A,B      names or patterns as 'voxpod*', '!*beam5'; default all
  --list             names the engines that it would run, and ends
  --python PATH      interpreter with the peers' packages; default VOXPOD_BENCH_PYTHON, else python3
  --whisper-cpp PATH folder with a build of pywhispercpp for q8_0 alone (docs/benchmarks.md);
                     default VOXPOD_BENCH_WHISPER_CPP
  --runs N           times each engine runs; the fastest counts; default 1
  --interleave       every engine once, then every engine again; else all runs of one, then of the next
  --limit N          seconds after which a run is given up, default 900
  --json FILE        the figures of every run, with the texts
  --markdown FILE    the tables, with CPU and versions`;

const text = (...names) => Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
const { values: options } = parseArgs({
  options: {
    ...text('models', 'clips', 'audio', 'text', 'engines', 'python', 'whisper-cpp'),
    ...text('json', 'markdown'),
    model: { type: 'string', default: 'base' },
    lengths: { type: 'string', default: '11,60,600' },
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '1' },
    limit: { type: 'string', default: '900' },
    interleave: { type: 'boolean', default: false },
    list: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
});
const list = (value) =>
  (value ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean);

if (options.help) {
  console.log(HELP);
  process.exit(0);
}
let engines;
try {
  engines = chooseEngines(list(options.engines));
} catch (error) {
  console.error(error.message);
  process.exit(2);
}
if (options.list) {
  console.log(engines.map(({ name }) => name).join('\n'));
  process.exit(0);
}

const number = (name, value) => {
  if (Number(value) > 0) return Number(value);
  console.error(`--${name} takes numbers above 0, not ${value}`);
  process.exit(2);
};
const settings = {
  language: 'en',
  threads: number('threads', options.threads),
  limit: number('limit', options.limit),
  python: options.python ?? (process.env.VOXPOD_BENCH_PYTHON || 'python3'),
  whisperCpp: options['whisper-cpp'] ?? process.env.VOXPOD_BENCH_WHISPER_CPP,
};
const runs = number('runs', options.runs);
const lengths = list(options.lengths).map((value) => number('lengths', value));

/** Folders of the model by layout; what the store fetches, where no folder is given, has one. */
async function findFolders() {
  const models = options.models ?? process.env.VOXPOD_TEST_MODELS;
  const folders = {};
  const place = (folder) => {
    if (existsSync(join(folder, 'model.bin'))) folders.ct2 ??= folder;
    else if (existsSync(join(folder, 'config.json'))) folders.hf ??= folder;
  };
  if (existsSync(options.model)) place(options.model);
  else if (models) {
    const name = options.model.replace(/^whisper-/, '');
    place(join(models, `whisper-${name}`));
    place(join(models, `faster-whisper-${name}`));
  }
  if (!folders.hf && !folders.ct2) {
    const { ModelStore } = await import('../dist/src/models/store.js');
    const log = (line) => console.error(line);
    const store = new ModelStore({ log: { info: log, warn: log } });
    place((await store.resolve(options.model)).folder);
  }
  return folders;
}

function clips() {
  if (options.audio) {
    if (!options.text) throw new Error('--audio needs --text: the words that are spoken');
    return [{ audio: options.audio, text: readFileSync(options.text, 'utf8').trim() }];
  }
  const folder = options.clips ?? process.env.VOXPOD_TEST_AUDIO;
  if (!folder) throw new Error(`No speech: set VOXPOD_TEST_AUDIO, or\n${HELP}`);
  return englishClips(folder);
}

function describeCpu() {
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const known = ['avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8'];
  const features = known.filter((name) => new RegExp(`\\b${name}\\b`).test(flags));
  // A virtual machine's model name may be as good as none; family and model are not.
  const numbers = ['cpu family', 'model'].map(
    (name) => new RegExp(`^${name}\\s*: (\\d+)$`, 'm').exec(flags)?.[1],
  );
  const name = `${cpus()[0]?.model ?? 'unknown'} (family ${numbers[0]}, model ${numbers[1]})`;
  return { model: name, cores: cpus().length, features };
}

/** Every engine's runs on one recording; an engine that fails once is not run again. */
function measure(models, audio) {
  const results = new Map(engines.map((engine) => [engine, []]));
  const turns = Array.from({ length: runs }, () => engines);
  const order = options.interleave ? turns.flat() : engines.flatMap((e) => turns.map(() => e));
  for (const engine of order) {
    const done = results.get(engine);
    if (done.at(-1)?.skipped) continue;
    console.error(`${engine.name} ...`);
    const model = models.find(engine.layout);
    done.push(model.skipped ? model : runEngine(engine, model.path, audio, settings));
  }
  return results;
}

/** The fastest run of an engine, with the error rate of its text, and the seconds of them all. */
function row(engine, done, spoken) {
  const failed = done.find(({ skipped }) => skipped);
  if (failed) return { engine: engine.name, ...failed };
  const best = done.reduce((one, other) => (other.seconds < one.seconds ? other : one));
  return {
    engine: engine.name,
    ...best,
    peakBytes: Math.max(...done.map(({ peakBytes }) => peakBytes)),
    wordErrorRate: wordErrorRate([[spoken, best.text]]),
    allSeconds: done.map(({ seconds }) => seconds),
  };
}

const temporary = mkdtempSync(join(tmpdir(), 'voxpod-bench-'));
try {
  const models = new Models(await findFolders(), settings.python, temporary);
  const cpu = describeCpu();
  console.log(`Model ${options.model}, ${settings.threads} threads, ${cpu.model}`);
  console.log(`${cpu.cores} cores, ${cpu.features.join(' ')}`);
  const tables = [];
  for (const seconds of lengths) {
    const audio = join(temporary, 'speech.wav');
    const speech = writeSpeech(clips(), seconds, audio);
    const results = measure(models, audio);
    const rows = engines.map((engine) => row(engine, results.get(engine), speech.text));
    tables.push({ speech, rows });
    console.log(`\n${textTable(tables.at(-1))}`);
    save(cpu, tables);
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

/** After every length, so that what was measured outlives a run that is broken off. */
function save(cpu, tables) {
  const rows = tables.flatMap((table) => table.rows);
  // What engines say of themselves, once for all that say the same.
  const notes = new Map();
  for (const { engine, notes: said } of rows) {
    if (said) notes.set(said, (notes.get(said) ?? new Set()).add(engine));
  }
  const summary = {
    date: new Date().toISOString().slice(0, 10),
    command: `node bench/whisper.mjs ${process.argv.slice(2).join(' ')}`.trim(),
    ...{ cpu, model: options.model, threads: settings.threads, runs },
    order: options.interleave ? 'interleaved' : 'one engine after another',
    packages: Object.assign({ node: process.version.slice(1) }, ...rows.map((r) => r.packages)),
    notes: [...notes].map(([said, names]) => `${[...names].join(', ')}: ${said}`),
    tables,
  };
  if (options.json) writeFileSync(options.json, JSON.stringify(summary, null, 2) + '\n');
  if (options.markdown) writeFileSync(options.markdown, markdown(summary));
}
