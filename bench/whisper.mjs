// Whisper on ten minutes of real speech: voxpod beside faster-whisper and transformers in one run.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { englishClips } from '../dist/test/lib/whisper/clips.js';
import { wordErrorRate } from '../dist/test/lib/whisper/word_errors.js';
import { writeSpeech } from './speech.mjs';

const HELP = `node bench/whisper.mjs [options]
  --model NAME       base (default), tiny.en, ... or a folder
  --models FOLDER    holds whisper-NAME and faster-whisper-NAME; default VOXPOD_TEST_MODELS
  --clips FOLDER     NAME.wav with NAME.txt each; default VOXPOD_TEST_AUDIO
  --audio FILE --text FILE   one clip instead, repeated
  --seconds N        length of the speech, default 600
  --threads N        default 2
  --engines A,B      of the names in the first column; default all
  --python PATH      interpreter with the peers' packages; default VOXPOD_BENCH_PYTHON, else python3
  --runs N           times each engine runs; the fastest counts; default 1
  --json FILE        the figures, with the texts`;

const { values: options } = parseArgs({
  options: {
    ...Object.fromEntries(
      ['models', 'clips', 'audio', 'text', 'engines', 'python', 'json'].map((name) => [
        name,
        { type: 'string' },
      ]),
    ),
    model: { type: 'string', default: 'base' },
    seconds: { type: 'string', default: '600' },
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (options.help) {
  console.log(HELP);
  process.exit(0);
}

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const python = options.python ?? (process.env.VOXPOD_BENCH_PYTHON || 'python3');
const models = options.models ?? process.env.VOXPOD_TEST_MODELS;
const LANGUAGE = 'en';

// Layout: which of the two folders of a model the engine reads; "any" takes the Hugging Face one first.
const ENGINES = [
  { name: 'voxpod', script: 'voxpod.mjs', type: 'auto', layout: 'any' },
  { name: 'voxpod-float32', script: 'voxpod.mjs', type: 'float32', layout: 'any' },
  { name: 'voxpod-beam5', script: 'voxpod.mjs', type: 'auto', layout: 'any', beam: 5 },
  { name: 'voxpod-words', script: 'voxpod.mjs', type: 'auto', layout: 'any', words: true },
  { name: 'faster-whisper-int8', script: 'faster_whisper_peer.py', type: 'int8', layout: 'ct2' },
  {
    name: 'faster-whisper-float32',
    script: 'faster_whisper_peer.py',
    type: 'float32',
    layout: 'ct2',
  },
  {
    name: 'faster-whisper-int8-beam5',
    script: 'faster_whisper_peer.py',
    type: 'int8',
    layout: 'ct2',
    beam: 5,
  },
  {
    name: 'faster-whisper-int8-words',
    script: 'faster_whisper_peer.py',
    type: 'int8',
    layout: 'ct2',
    words: true,
  },
  { name: 'transformers-float32', script: 'transformers_peer.py', type: 'float32', layout: 'hf' },
  { name: 'transformers-bfloat16', script: 'transformers_peer.py', type: 'bfloat16', layout: 'hf' },
];

/** The last line of what an engine printed, parsed; or why there is none. */
function runEngine(engine, folder, audio) {
  const program = engine.script.endsWith('.py') ? python : process.execPath;
  const outcome = spawnSync(
    program,
    [
      here(`peers/${engine.script}`),
      ...[folder, audio, options.threads, engine.type, LANGUAGE],
      ...(engine.beam === undefined && !engine.words
        ? []
        : [engine.beam ?? 1, engine.words ? 1 : 0]),
    ],
    {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      // Threads of every library that has its own idea of how many to start.
      env: { ...process.env, OMP_NUM_THREADS: options.threads, MKL_NUM_THREADS: options.threads },
    },
  );
  if (outcome.error) return { skipped: `${program}: ${outcome.error.message}` };
  if (outcome.status !== 0) {
    const words = outcome.stderr.trim().split('\n');
    const cause = words.findLast((line) => /Error|error:/.test(line)) ?? words.at(-1);
    return { skipped: cause?.trim() ?? `ended with ${outcome.signal ?? outcome.status}` };
  }
  return JSON.parse(outcome.stdout.trim().split('\n').at(-1));
}

/** Folders of the model by layout; what the store fetches, where no folder is given, has one. */
async function findFolders() {
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
  return { ...folders, any: folders.hf ?? folders.ct2 };
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

function cpuDescription() {
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const features = ['avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8'];
  const has = features.filter((name) => new RegExp(`\\b${name}\\b`).test(flags));
  return `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, ${has.join(' ')}`;
}

const wanted = options.engines?.split(',').map((name) => name.trim());
const unknown = wanted?.filter((name) => !ENGINES.some((engine) => engine.name === name)) ?? [];
if (unknown.length > 0) {
  console.error(
    `No engine ${unknown.join(', ')}; there are ${ENGINES.map((e) => e.name).join(', ')}`,
  );
  process.exit(2);
}

const temporary = mkdtempSync(join(tmpdir(), 'voxpod-bench-'));
try {
  const audio = join(temporary, 'speech.wav');
  const speech = writeSpeech(clips(), Number(options.seconds), audio);
  const folders = await findFolders();
  console.log(
    `${speech.seconds.toFixed(1)} s of English, model ${options.model}, ${options.threads} threads\n${cpuDescription()}\n`,
  );
  const rows = [];
  for (const engine of ENGINES) {
    if (wanted && !wanted.includes(engine.name)) continue;
    console.error(`${engine.name} ...`);
    const folder = folders[engine.layout];
    let best = { skipped: `no ${engine.layout} folder of ${options.model} (give --models)` };
    for (let run = 0; folder && run < Number(options.runs); run++) {
      const result = runEngine(engine, folder, audio);
      if (run === 0 || result.seconds < best.seconds) best = result;
    }
    const errors = best.skipped ? undefined : wordErrorRate([[speech.text, best.text]]);
    rows.push({ engine: engine.name, ...best, wordErrorRate: errors });
  }
  printTable(rows, speech.seconds);
  if (options.json) {
    const { model, threads } = options;
    const summary = { cpu: cpuDescription(), model, threads, speechSeconds: speech.seconds, rows };
    writeFileSync(options.json, JSON.stringify(summary, null, 2) + '\n');
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

function printTable(rows, speechSeconds) {
  const own = rows.find(({ engine, skipped }) => engine === 'voxpod' && !skipped);
  const lines = [
    ['engine', 'version', 'load s', 'seconds', 'x real time', 'WER', 'peak MB', 'time / voxpod'],
  ];
  const skipped = [];
  for (const row of rows) {
    if (row.skipped) {
      skipped.push(`${row.engine}: skipped: ${row.skipped}`);
      continue;
    }
    lines.push([
      row.engine,
      row.version,
      row.loadSeconds.toFixed(1),
      row.seconds.toFixed(1),
      (speechSeconds / row.seconds).toFixed(1),
      row.wordErrorRate.toFixed(4),
      (row.peakBytes / 1e6).toFixed(0),
      own ? (row.seconds / own.seconds).toFixed(2) : '-',
    ]);
  }
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  for (const line of lines) {
    console.log(
      line.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
    );
  }
  if (skipped.length > 0) console.log(`\n${skipped.join('\n')}`);
}
