import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../../lib/package_root.js';
import { WhisperTokenizer } from '../../../lib/text/tokenizer.js';
import { leastLateness } from '../../support/lateness.js';
import { folderFrom } from '../../support/needs.js';
import { byteTokenizer, tokenizerFolder } from '../whisper/support.js';

interface Golden {
  args: { multilingual: boolean; num_languages?: number };
  eot: number;
  sot: number;
  translate: number;
  transcribe: number;
  sot_lm: number;
  sot_prev: number;
  no_speech: number;
  no_timestamps: number;
  timestamp_begin: number;
  non_speech_tokens: number[];
  lang_tokens: Record<string, number>;
  blank: number[];
  encode: { text: string; ids: number[] }[];
}

const fixtures = join(packageRoot(), 'test', 'fixtures', 'whisper');
const goldens = JSON.parse(await readFile(join(fixtures, 'tokenizer.json'), 'utf8')) as Record<
  string,
  Golden
>;
const texts = JSON.parse(await readFile(join(fixtures, 'texts.json'), 'utf8')) as {
  text: string;
  tokens: number[];
  model: string;
}[];

/** Odd texts and their ids by tiktoken. */
const bytePairs = JSON.parse(await readFile(join(fixtures, 'byte_pairs.json'), 'utf8')) as Record<
  string,
  { text: string; ids: number[] }[]
>;

const models = folderFrom('VOXPOD_TEST_MODELS');

/** Which tokenizers of openai-whisper a model's folder holds. */
const folders: [string, string[]][] = [
  ['whisper-base', ['multilingual99', 'multilingual_ja']],
  ['faster-whisper-base', ['multilingual99']],
  ['whisper-tiny.en', ['gpt2_en']],
  ['faster-whisper-tiny.en', ['gpt2_en']],
];

async function small(change: (json: Record<string, unknown>) => void): Promise<WhisperTokenizer> {
  const json = byteTokenizer();
  change(json);
  const folder = await tokenizerFolder(json);
  try {
    return await WhisperTokenizer.load(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const asIs = (): void => undefined;

for (const [folder, names] of folders) {
  const skip = models === undefined ? 'VOXPOD_TEST_MODELS is not set' : false;
  describe(`the tokenizer of ${folder}`, { skip }, async () => {
    if (models === undefined) return;
    const tokenizer = await WhisperTokenizer.load(join(models, folder));
    for (const name of names) {
      const golden = goldens[name];
      assert.ok(golden !== undefined);
      it(`has the ids of ${name}`, () => {
        assert.deepEqual(tokenizer.special, {
          endOfText: golden.eot,
          startOfTranscript: golden.sot,
          transcribe: golden.transcribe,
          translate: golden.translate,
          startOfPrevious: golden.sot_prev,
          startOfLanguageModel: golden.sot_lm,
          noSpeech: golden.no_speech,
          noTimestamps: golden.no_timestamps,
          timestampBegin: golden.timestamp_begin,
        });
        assert.deepEqual(tokenizer.blankTokens, golden.blank);
        assert.deepEqual(tokenizer.nonSpeechTokens, golden.non_speech_tokens);
        if (golden.args.multilingual) {
          assert.deepEqual(Object.fromEntries(tokenizer.languages), golden.lang_tokens);
        }
      });
      it(`encodes and decodes as ${name}`, () => {
        for (const { text, ids } of golden.encode) {
          assert.deepEqual(tokenizer.encode(text), ids, text);
          assert.equal(tokenizer.decode(ids), text);
        }
      });
    }

    it('decodes what the model wrote, timestamps left out', () => {
      const known = texts.filter(({ model }) => folder.endsWith(`whisper-${model}`));
      assert.ok(known.length > 0);
      for (const { text, tokens } of known) assert.equal(tokenizer.decode(tokens), text);
    });

    it('encodes and decodes odd texts as tiktoken', () => {
      const cases = bytePairs[folder.replace(/^(faster-)?whisper-/, '')] ?? [];
      assert.ok(cases.length > 0);
      for (const { text, ids } of cases) {
        assert.deepEqual(tokenizer.encode(text), ids, text);
        assert.equal(tokenizer.decode(ids), text);
      }
    });

    it('takes special tokens in a text for text', () => {
      const ids = tokenizer.encode('<|endoftext|><|en|>');
      assert.ok(ids.every((id) => id < tokenizer.special.endOfText));
      assert.equal(tokenizer.decode(ids), '<|endoftext|><|en|>');
    });

    it('encodes the longest prompt fast, however odd', () => {
      const unlike = Array.from({ length: 5000 }, (_, i) =>
        String.fromCharCode(0x4e00 + ((i * 7919) % 20_000)),
      );
      for (const text of ['x'.repeat(5000), unlike.join(''), ' '.repeat(5000)]) {
        const started = performance.now();
        tokenizer.encode(text);
        assert.ok(performance.now() - started < 50);
      }
    });

    it('is read without blocking the loop, and leaves the heap small', async () => {
      const before = process.memoryUsage().heapTotal;
      const late = await leastLateness(() => WhisperTokenizer.load(join(models, folder)), 50);
      assert.ok(late < 50, `a timer was ${late} ms late`);
      const grown = process.memoryUsage().heapTotal - before;
      assert.ok(grown < 10e6, `the heap grew by ${grown} bytes`);
    });
  });
}

describe('decoding bytes', () => {
  it('replaces broken UTF-8 as Python does', async () => {
    const tokenizer = await small(asIs);
    // From `bytes(...).decode("utf-8", errors="replace")`, CPython 3.11.
    const cases: [number[], string][] = [
      [[0xe4, 0xbd, 0xa0], '你'],
      [[0xe4, 0xbd], '\ufffd'],
      [[0xe4, 0x41], '\ufffdA'],
      [[0xf0, 0x9f, 0x91, 0x41], '\ufffdA'],
      [[0xff, 0xfe], '\ufffd\ufffd'],
      [[0xc0, 0x80], '\ufffd\ufffd'],
      [[0xed, 0xa0, 0x80], '\ufffd\ufffd\ufffd'],
      [[0x80, 0xbf], '\ufffd\ufffd'],
      [[0xef, 0xbb, 0xbf, 0x41], '\ufeffA'],
    ];
    for (const [bytes, text] of cases) assert.equal(tokenizer.decode(bytes), text);
  });

  it('leaves special tokens, timestamps and unknown ids out', async () => {
    const tokenizer = await small(asIs);
    assert.equal(tokenizer.decode([267, 72, 258, 105, 1767, 256, 99_999]), 'Hi');
    assert.equal(tokenizer.decodeWithSpecial([267, 72, 258, 1767, 265]), 'H<|en|><|nospeech|>');
  });

  it('joins a character across pieces', async () => {
    const tokenizer = await small(asIs);
    const bytes = [...Buffer.from('né')];
    assert.deepEqual(tokenizer.encode('né'), bytes);
    assert.equal(tokenizer.decode(bytes), 'né');
  });
});

describe('variants of tokenizer.json', () => {
  it('knows the no-speech token by its old name', async () => {
    const tokenizer = await small((json) => {
      const added = json['added_tokens'] as { content: string }[];
      for (const token of added) {
        if (token.content === '<|nospeech|>') token.content = '<|nocaptions|>';
      }
    });
    assert.equal(tokenizer.special.noSpeech, 265);
  });

  it('knows Hebrew by its old code', async () => {
    const tokenizer = await small((json) => {
      const added = json['added_tokens'] as { content: string }[];
      for (const token of added) if (token.content === '<|de|>') token.content = '<|iw|>';
    });
    assert.deepEqual(
      [...tokenizer.languages],
      [
        ['en', 258],
        ['zh', 259],
        ['he', 260],
      ],
    );
  });

  it('does without a no-speech token', async () => {
    const tokenizer = await small((json) => {
      const added = json['added_tokens'] as { content: string }[];
      json['added_tokens'] = added.filter(({ content }) => content !== '<|nospeech|>');
    });
    assert.equal(tokenizer.special.noSpeech, -1);
  });
});

describe('tokenizers that are wrong', () => {
  const without = (name: string): unknown => {
    const json = byteTokenizer();
    const added = json['added_tokens'] as { content: string }[];
    return { ...json, added_tokens: added.filter(({ content }) => content !== name) };
  };
  const cases: [string, unknown, RegExp][] = [
    ['no JSON', '{"model":', /not valid JSON/],
    ['an empty file', '', /not valid JSON/],
    ['a list', [], /holds no object/],
    ['another model', { model: { type: 'Unigram', vocab: [] } }, /not BPE/],
    ['ids that are none', { model: { type: 'BPE', vocab: { a: 'b' }, merges: [] } }, /vocabulary/],
    ['no merges', { ...byteTokenizer(), model: { type: 'BPE', vocab: {} } }, /merges/],
    ['no added tokens', { model: { type: 'BPE', vocab: {}, merges: [] } }, /added tokens/],
    ['a broken added token', { ...byteTokenizer(), added_tokens: [{ id: -4 }] }, /added token/],
    ['no timestamps', without('<|notimestamps|>'), /no <\|notimestamps\|> token/],
    ['no start', without('<|startoftranscript|>'), /no <\|startoftranscript\|> token/],
  ];
  for (const [name, content, message] of cases) {
    it(`refuses ${name}`, async () => {
      const folder = await tokenizerFolder(content);
      try {
        await assert.rejects(WhisperTokenizer.load(folder), { code: 'TOKENIZER_INVALID', message });
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }

  it('is not read for a caller who has left', async () => {
    const folder = await tokenizerFolder(byteTokenizer());
    try {
      const reason = new Error('the caller left');
      const controller = new AbortController();
      const loading = WhisperTokenizer.load(folder, controller.signal);
      controller.abort(reason);
      await assert.rejects(loading, reason);
      await assert.rejects(WhisperTokenizer.load(folder, controller.signal), reason);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says which file is missing', async () => {
    await assert.rejects(WhisperTokenizer.load('/nonexistent'), {
      code: 'TOKENIZER_INVALID',
      message: /\/nonexistent\/tokenizer\.json/,
    });
  });
});
