/** What the tests of audio and Whisper share. */
import { cp, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { loadNative } from '../../../lib/binding.js';
import { messageOf } from '../../../lib/errors.js';

/** Why the addon cannot be used here, for a test's `skip`; undefined where it can. */
export function nativeProblem(): string | undefined {
  try {
    loadNative();
    return undefined;
  } catch (error) {
    return `no addon: ${messageOf(error).split('\n')[0] ?? ''}`;
  }
}

/** A folder named by the environment, or undefined. */
export function folderFrom(variable: string): string | undefined {
  const folder = process.env[variable];
  return folder === undefined || folder === '' ? undefined : folder;
}

/** Most milliseconds by which a timer of 10 ms was late while `work` ran. */
async function lateness(work: () => Promise<unknown>): Promise<number> {
  let worst = 0;
  let due = performance.now() + 10;
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - due);
    due = now + 10;
  }, 10);
  try {
    await work();
  } finally {
    // What blocked the loop to the end counts too.
    worst = Math.max(worst, performance.now() - due);
    clearInterval(timer);
  }
  return worst;
}

/**
 * The least lateness of three runs, or of fewer once it is below `enough`. On a busy machine the
 * system too makes a timer late, now and then; work that blocks the loop does so every time.
 */
export async function leastLateness(work: () => Promise<unknown>, enough: number): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 3 && least >= enough; i++) least = Math.min(least, await lateness(work));
  return least;
}

/** Collects what is garbage, so that what a test then measures was made by the test. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

/** Ids in the vocabulary of the small golden models: 256 bytes, then Whisper's own layout. */
export interface ByteLayout {
  EOT: number;
  SOT: number;
  LANG0: number;
  TRANSLATE: number;
  TRANSCRIBE: number;
  SOLM: number;
  PREV: number;
  NOSP: number;
  NOTS: number;
}

export const byteLayout: ByteLayout = {
  ...{ EOT: 256, SOT: 257, LANG0: 258, TRANSLATE: 261, TRANSCRIBE: 262 },
  ...{ SOLM: 263, PREV: 264, NOSP: 265, NOTS: 266 },
};

/** A tokenizer.json whose tokens are single bytes, with the languages en, zh and de. */
export function byteTokenizer(layout: ByteLayout = byteLayout): Record<string, unknown> {
  const vocab: Record<string, number> = {};
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    vocab[String.fromCodePoint(printable ? byte : next++)] = byte;
  }
  const special: [number, string][] = [
    [layout.EOT, 'endoftext'],
    [layout.SOT, 'startoftranscript'],
    [layout.LANG0, 'en'],
    [layout.LANG0 + 1, 'zh'],
    [layout.LANG0 + 2, 'de'],
    [layout.TRANSLATE, 'translate'],
    [layout.TRANSCRIBE, 'transcribe'],
    [layout.SOLM, 'startoflm'],
    [layout.PREV, 'startofprev'],
    [layout.NOSP, 'nospeech'],
    [layout.NOTS, 'notimestamps'],
  ];
  return {
    version: '1.0',
    added_tokens: special.map(([id, name]) => ({ id, content: `<|${name}|>`, special: true })),
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    model: { type: 'BPE', vocab, merges: [] },
  };
}

export async function tokenizerFolder(content: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'voxpod-tokenizer-'));
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  await writeFile(join(folder, 'tokenizer.json'), text);
  return folder;
}

/** A small golden model made whole by a tokenizer, in a new folder. */
export async function goldenModel(golden: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'voxpod-golden-'));
  for (const name of ['config.json', 'generation_config.json', 'preprocessor_config.json']) {
    await cp(join(golden, name), join(folder, name));
  }
  await symlink(join(golden, 'model.safetensors'), join(folder, 'model.safetensors'));
  const meta = JSON.parse(await readFile(join(golden, 'meta.json'), 'utf8')) as {
    layout: ByteLayout;
  };
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(byteTokenizer(meta.layout)));
  return folder;
}

/** Why a test that needs the addon and these folders cannot run, or false. */
export function skipUnless(...needed: [string, string | undefined][]): string | false {
  const problem = nativeProblem();
  if (problem !== undefined) return problem;
  const missing = needed.find(([, value]) => value === undefined);
  return missing === undefined ? false : `${missing[0]} is not set`;
}
