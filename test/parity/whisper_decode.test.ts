/**
 * One window through the addon's own contract, against openai-whisper's `decode` and
 * `find_alignment` on the small models in VOXPOD_GOLDENS: what transcribing does not reach.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeAudio } from '../../lib/audio/decode.js';
import { loadNative } from '../../lib/binding.js';
import type { DecodeRequest, EncodedWindow, WhisperModel } from '../../lib/native.js';
import { splitWords } from '../../lib/text/words.js';
import { timeWords } from '../../lib/whisper/words.js';
import { folderFrom, nativeProblem } from '../support/needs.js';
import { type ByteLayout } from '../lib/whisper/support.js';

interface GoldenOptions {
  language: string | null;
  task?: string;
  suppress_tokens: string;
  suppress_blank?: boolean;
  sample_len: number;
  without_timestamps?: boolean;
  max_initial_timestamp?: null;
  beam_size?: number;
  patience?: number;
  length_penalty?: number;
  prompt?: string | number[];
  prefix?: string | number[];
}
interface GoldenDecoding {
  options: GoldenOptions;
  tokens: number[];
  avg_logprob: number;
  no_speech_prob: number;
  language: string;
}
interface GoldenAlignment {
  num_frames: number;
  text_tokens: number[];
  words: { word: string; start: number; end: number; probability: number }[];
}
type Layout = ByteLayout & { TS0: number };

const goldens = folderFrom('VOXPOD_GOLDENS');
const root = goldens === undefined ? undefined : join(goldens, 'whisper');
const skip = nativeProblem() ?? (root === undefined && 'VOXPOD_GOLDENS is not set');
const languages = ['en', 'zh', 'de'];

/** The small models' tokens of text are bytes; a prompt's text stands behind a blank. */
function tokensOf(text: string | number[] | undefined): number[] {
  return typeof text === 'string' ? [...Buffer.from(` ${text}`)] : (text ?? []);
}

function head(layout: Layout, language: string, task = 'transcribe'): number[] {
  const steer = task === 'translate' ? layout.TRANSLATE : layout.TRANSCRIBE;
  return [layout.SOT, layout.LANG0 + languages.indexOf(language), steer];
}

function requestOf(layout: Layout, { options, language }: GoldenDecoding): DecodeRequest {
  const before = tokensOf(options.prompt);
  const plain = options.without_timestamps === true;
  const prompt = [
    ...(before.length > 0 ? [layout.PREV, ...before] : []),
    ...head(layout, language, options.task),
    ...(plain ? [layout.NOTS] : []),
    ...tokensOf(options.prefix),
  ];
  const steering = [layout.TRANSCRIBE, layout.TRANSLATE, layout.SOT, layout.PREV, layout.SOLM];
  const given = options.suppress_tokens.split(',').filter(Boolean).map(Number);
  const suppress = given.length === 0 ? [] : [...given, ...steering, layout.NOSP];
  return {
    prompt: Int32Array.from(prompt),
    startOfTranscript: prompt.indexOf(layout.SOT),
    sampleBegin: prompt.length,
    maxTokens: options.sample_len,
    temperature: 0,
    bestOf: 1,
    seed: 0,
    suppress: Int32Array.from(suppress),
    suppressFirst:
      options.suppress_blank === false ? new Int32Array(0) : Int32Array.of(32, layout.EOT),
    endOfText: layout.EOT,
    noSpeech: layout.NOSP,
    timestamps: plain
      ? null
      : {
          ...{ begin: layout.TS0, none: layout.NOTS },
          maxInitial: options.max_initial_timestamp === null ? -1 : 50,
        },
    ...(options.beam_size === undefined ? {} : { beamSize: options.beam_size }),
    ...(options.patience === undefined ? {} : { patience: options.patience }),
    ...(options.length_penalty === undefined ? {} : { lengthPenalty: options.length_penalty }),
  };
}

describe('one window', { skip }, () => {
  if (root === undefined) return;
  for (const name of readdirSync(root)) {
    const folder = join(root, name);
    if (!existsSync(join(folder, 'generate.json'))) continue;
    describe(name, () => {
      const cases = JSON.parse(readFileSync(join(folder, 'generate.json'), 'utf8')) as Record<
        string,
        GoldenDecoding
      >;
      const meta = JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8')) as {
        layout: Layout;
      };
      let model: WhisperModel;
      let window: EncodedWindow;
      before(async () => {
        model = await loadNative().loadWhisper(folder, {
          ...{ device: 'cpu', dtype: 'float32', threads: 0, maxBatch: 8, maxQueue: 16 },
        });
        const wav = join(root, 'audio', 'short.wav');
        // The goldens are of audio that was padded with silence, not of padded features.
        const pcm = new Float32Array(480_000);
        pcm.set(await decodeAudio(wav, { sampleRate: 16_000 }));
        const features = model.features();
        await features.push(pcm);
        await features.finish();
        window = await model.encode(features, 0, 3000);
      });
      after(() => model.dispose());

      for (const [title, golden] of Object.entries(cases)) {
        if (!title.startsWith('openai_') || !Object.hasOwn(golden, 'options')) continue;
        it(title, async () => {
          const found = await model.decode(window, requestOf(meta.layout, golden));
          assert.deepEqual([...found.tokens], golden.tokens);
          const error = Math.abs(found.averageLogProbability - golden.avg_logprob);
          assert.ok(error < 1e-4, `${found.averageLogProbability}, not ${golden.avg_logprob}`);
          const silence = Math.abs(found.noSpeechProbability - golden.no_speech_prob);
          assert.ok(silence < 1e-3 * golden.no_speech_prob + 1e-7);
        });
      }

      it('openai_find_alignment', async () => {
        const golden = cases['openai_find_alignment'] as unknown as GoldenAlignment;
        const { starts, probabilities } = await model.align(window, {
          head: Int32Array.from([...head(meta.layout, 'en'), meta.layout.NOTS]),
          text: Int32Array.from(golden.text_tokens),
          endOfText: meta.layout.EOT,
          frames: golden.num_frames,
        });
        const decode = (tokens: readonly number[]): string =>
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(tokens));
        const words = timeWords(
          splitWords(golden.text_tokens, 'en', decode),
          starts,
          probabilities,
        );
        assert.deepEqual(
          words.map(({ word }) => word),
          golden.words.map(({ word }) => word),
        );
        for (const [i, expected] of golden.words.entries()) {
          const word = words[i];
          assert.ok(word !== undefined && Math.abs(word.start - expected.start) < 0.0201);
          assert.ok(Math.abs(word.end - expected.end) < 0.0201);
          assert.ok(Math.abs(word.probability - expected.probability) < 1e-3);
        }
      });
    });
  }
});
