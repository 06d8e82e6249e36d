/** What the tests of Whisper share. */
import { cp, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TranscribeOptions } from '../../../lib/whisper/types.js';

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

/** Noise of a fixed seed: the small models write much about it. */
export function noise(seconds: number): { samples: Float32Array; sampleRate: number } {
  const samples = new Float32Array(seconds * 16_000);
  let state = 1;
  for (let i = 0; i < samples.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    samples[i] = (state / 2 ** 31 - 1) * 0.1;
  }
  return { samples, sampleRate: 16_000 };
}

/** Windows of the small models that end by their length alone. */
export const plain: TranscribeOptions = {
  ...{ language: 'en', temperature: 0, suppressTokens: [5], sampleLength: 40 },
  ...{ compressionRatioThreshold: null, logProbThreshold: null, noSpeechThreshold: null },
};
