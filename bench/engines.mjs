// The engines that bench/whisper.mjs knows, and how one is run in a process of its own.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

// `layout` is what the engine reads: a folder of the Hugging Face ("hf") or CTranslate2 ("ct2")
// layout, "any" of them, the former first, or a file that convert.py writes of the former.
const families = {
  voxpod: { script: 'voxpod.mjs', layout: 'any' },
  'faster-whisper': { script: 'faster_whisper_peer.py', layout: 'ct2' },
  'whisper.cpp': { script: 'whisper_cpp_peer.py' },
  transformers: { script: 'transformers_peer.py', layout: 'hf' },
  'openai-whisper': { script: 'openai_whisper_peer.py', layout: 'pt', type: 'float32' },
};

/** Name, then what differs from the family's own entry. */
export const ENGINES = [
  ['voxpod', { type: 'auto' }],
  ['voxpod-beam5', { type: 'auto', beams: 5 }],
  ['voxpod-words', { type: 'auto', words: true }],
  ['voxpod-batched', { type: 'auto', batch: 8 }],
  ['voxpod-batched-beam5', { type: 'auto', batch: 8, beams: 5 }],
  ['voxpod-bfloat16', { type: 'bfloat16' }],
  ['voxpod-bfloat16-beam5', { type: 'bfloat16', beams: 5 }],
  ['voxpod-bfloat16-batched', { type: 'bfloat16', batch: 8 }],
  ['voxpod-float32', { type: 'float32' }],
  ['voxpod-float32-beam5', { type: 'float32', beams: 5 }],
  ['faster-whisper-int8', { type: 'int8' }],
  ['faster-whisper-int8-beam5', { type: 'int8', beams: 5 }],
  ['faster-whisper-int8-words', { type: 'int8', words: true }],
  ['faster-whisper-int8-batched', { type: 'int8', batch: 8 }],
  ['faster-whisper-int8-batched-beam5', { type: 'int8', batch: 8, beams: 5 }],
  ['faster-whisper-float32', { type: 'float32' }],
  ['faster-whisper-float32-beam5', { type: 'float32', beams: 5 }],
  ['faster-whisper-float32-batched', { type: 'float32', batch: 8 }],
  ['faster-whisper-float32-batched-beam5', { type: 'float32', batch: 8, beams: 5 }],
  ['whisper.cpp-f16', { layout: 'f16' }],
  ['whisper.cpp-f16-beam5', { layout: 'f16', beams: 5 }],
  ['whisper.cpp-q8_0', { layout: 'q8_0' }],
  ['whisper.cpp-q8_0-beam5', { layout: 'q8_0', beams: 5 }],
  ['transformers-float32', { type: 'float32' }],
  ['transformers-bfloat16', { type: 'bfloat16' }],
  ['openai-whisper', {}],
  ['openai-whisper-beam5', { beams: 5 }],
].map(([name, own]) => {
  const family = Object.keys(families).find((key) => name.startsWith(key));
  return { name, family, ...families[family], ...own };
});

/** Those whose names fit one of the patterns ("*" is any text) and none that begins with "!". */
export function chooseEngines(patterns) {
  const fits = (pattern) => {
    const source = pattern.split('*').map((part) => part.replace(/[.+^$()[\]{}|\\?]/g, '\\$&'));
    const expression = new RegExp(`^${source.join('.*')}$`);
    const found = ENGINES.filter(({ name }) => expression.test(name));
    if (found.length > 0) return new Set(found);
    throw new Error(
      `No engine is called ${pattern}; there are\n${ENGINES.map((e) => e.name).join('\n')}`,
    );
  };
  const sets = patterns.filter((pattern) => !pattern.startsWith('!')).map(fits);
  const without = patterns
    .filter((pattern) => pattern.startsWith('!'))
    .map((pattern) => fits(pattern.slice(1)));
  return ENGINES.filter(
    (engine) =>
      (sets.length === 0 || sets.some((set) => set.has(engine))) &&
      !without.some((set) => set.has(engine)),
  );
}

/** What the engines read, by layout; files are converted into `temporary` when first asked for. */
export class Models {
  #places;
  #python;
  #temporary;

  constructor(places, python, temporary) {
    this.#places = { ...places, any: places.hf ?? places.ct2 };
    this.#python = python;
    this.#temporary = temporary;
  }

  /** `{ path }`, or `{ skipped }` with the reason. */
  find(layout) {
    if (!['any', 'hf', 'ct2'].includes(layout)) this.#places[layout] ??= this.#convert(layout);
    const place = this.#places[layout];
    if (place === undefined) return { skipped: `no ${layout} folder of the model (give --models)` };
    return typeof place === 'string' ? { path: place } : place;
  }

  #convert(layout) {
    if (!this.#places.hf)
      return { skipped: 'no hf folder of the model to convert (give --models)' };
    const path = join(this.#temporary, `model.${layout}`);
    const script = here('peers/convert.py');
    const outcome = spawnSync(this.#python, [script, this.#places.hf, path, layout], {
      encoding: 'utf8',
    });
    return existsSync(path) && outcome.status === 0 ? path : { skipped: reason(outcome) };
  }
}

/** What the engine reported of one run, or `{ skipped }` with the reason. */
export function runEngine(engine, model, audio, { threads, language, python, limit, whisperCpp }) {
  const { script, type, beams, words, batch } = engine;
  const outcome = spawnSync(
    script.endsWith('.py') ? python : process.execPath,
    [
      here(`peers/${script}`),
      ...[model, audio],
      JSON.stringify({ threads, language, type, beams, words, batch }),
    ],
    {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      timeout: limit * 1000,
      killSignal: 'SIGKILL',
      env: {
        ...process.env,
        // Threads of every library that has its own idea of how many to start.
        OMP_NUM_THREADS: String(threads),
        MKL_NUM_THREADS: String(threads),
        // Nothing may be looked up on a hub, nor be waited for.
        HF_HUB_OFFLINE: '1',
        ...(engine.layout === 'q8_0' && whisperCpp && { PYTHONPATH: whisperCpp }),
      },
    },
  );
  if (outcome.error?.code === 'ETIMEDOUT') return { skipped: `longer than ${limit} s (--limit)` };
  if (outcome.status !== 0) return { skipped: reason(outcome) };
  return JSON.parse(outcome.stdout.trim().split('\n').at(-1));
}

function reason({ error, stderr, signal, status }) {
  if (error) return error.message;
  const lines = (stderr ?? '').trim().split('\n');
  const cause = lines.findLast((line) => /Error|error:/.test(line)) ?? lines.at(-1);
  return (
    [signal && `ended by ${signal}`, cause?.trim().slice(0, 120)].filter(Boolean).join(': ') ||
    `ended with ${status}`
  );
}
