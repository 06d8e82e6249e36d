/**
 * Parity with openai-whisper, on the cases that lie in VOXPOD_GOLDENS: the small models' full
 * transcriptions and the real weights' greedy ones. What is not supported is skipped by name.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openFfmpeg } from '../../lib/audio/ffmpeg.js';
import { collect } from '../../lib/audio/pcm.js';
import type { AudioSource } from '../../lib/audio/source.js';
import type { TranscribeOptions, Transcript, Word } from '../../lib/whisper/types.js';
import { Whisper } from '../../lib/whisper/whisper.js';
import { englishClips } from '../support/clips.js';
import { folderFrom, nativeProblem } from '../support/needs.js';
import { goldenModel } from '../lib/whisper/support.js';
import { wordErrorRate } from '../support/word_errors.js';

interface GoldenSegment {
  seek: number;
  start: number;
  end: number;
  text: string;
  tokens: number[];
  temperature: number;
  avg_logprob: number;
  compression_ratio: number;
  no_speech_prob: number;
  words?: Word[];
}
interface GoldenResult {
  text: string;
  language: string;
  segments: GoldenSegment[];
}
interface GoldenCase {
  options: Record<string, unknown>;
  result: GoldenResult;
}
interface GoldenClip {
  greedy: GoldenResult;
  beam5?: GoldenResult;
  words?: GoldenResult;
  language_probs?: Record<string, number>;
  samples?: number;
}

const addonProblem = nativeProblem();
const goldens = folderFrom('VOXPOD_GOLDENS');
const models = folderFrom('VOXPOD_TEST_MODELS');
const clips = folderFrom('VOXPOD_TEST_AUDIO');
const root = goldens === undefined ? undefined : join(goldens, 'whisper');
const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;

const readJson = <Content>(...path: string[]): Content =>
  JSON.parse(readFileSync(join(...path), 'utf8')) as Content;

/** openai-whisper's options as ours; each key that has no entry here is unsupported. */
const optionNames: Record<string, (value: unknown) => TranscribeOptions> = {
  fp16: () => ({}),
  language: (value) => (value === null ? {} : { language: value as string }),
  task: (value) => ({ task: value as 'translate' }),
  suppress_tokens: (value) => ({ suppressTokens: String(value).split(',').map(Number) }),
  temperature: (value) => ({ temperature: value as number }),
  compression_ratio_threshold: (value) => ({ compressionRatioThreshold: value as number | null }),
  logprob_threshold: (value) => ({ logProbThreshold: value as number | null }),
  no_speech_threshold: (value) => ({ noSpeechThreshold: value as number | null }),
  sample_len: (value) => ({ sampleLength: value as number }),
  condition_on_previous_text: (value) => ({ conditionOnPreviousText: value as boolean }),
  without_timestamps: (value) => ({ withoutTimestamps: value as boolean }),
  initial_prompt: (value) => ({ initialPrompt: value as string }),
  beam_size: (value) => ({ beamSize: value as number }),
  word_timestamps: (value) => ({ wordTimestamps: value as boolean }),
  hallucination_silence_threshold: (value) => ({
    hallucinationSilenceThreshold: value as number,
  }),
  clip_timestamps: (value) => ({
    clipTimestamps: typeof value === 'string' ? value.split(',').map(Number) : (value as number[]),
  }),
  carry_initial_prompt: (value) => ({ carryInitialPrompt: value as boolean }),
};

function close(actual: number, expected: number, tolerance: number, name: string): void {
  const error = Math.abs(actual - expected);
  assert.ok(error <= tolerance, `${name}: ${actual} is ${error} from ${expected}`);
}

/** Seconds by which a word's time may differ. */
const wordTolerance = 0.0201;

/** The reference's times may lie behind the end of the recording; ours end with it. */
function within<Part extends { start: number; end: number }>(part: Part, ours: Transcript): Part {
  const end = Math.floor(ours.duration * 100) / 100;
  return { ...part, start: Math.min(part.start, end), end: Math.min(part.end, end) };
}

function compareWords(ours: Word[] | undefined, golden: Word[] | undefined, loose: boolean): void {
  assert.deepEqual(
    ours?.map(({ word }) => word),
    golden?.map(({ word }) => word),
  );
  for (const [i, { word, start, end, probability }] of (golden ?? []).entries()) {
    close(ours?.[i]?.start ?? NaN, start, wordTolerance, `start of ${word}`);
    close(ours?.[i]?.end ?? NaN, end, wordTolerance, `end of ${word}`);
    close(
      ours?.[i]?.probability ?? NaN,
      probability,
      loose ? 5e-2 : 1e-3,
      `probability of ${word}`,
    );
  }
}

function compare(ours: Transcript, golden: GoldenResult, logProbTolerance: number): void {
  assert.equal(ours.language, golden.language);
  assert.deepEqual(
    ours.segments.map(({ tokens, text, temperature }) => ({ tokens, text, temperature })),
    golden.segments.map(({ tokens, text, temperature }) => ({ tokens, text, temperature })),
  );
  // The reference's text holds stray language tokens by name; ours and its segments' do not.
  assert.equal(ours.text, golden.text.replaceAll(/<\|[a-z]+\|>/g, ''));
  for (const [i, segment] of ours.segments.entries()) {
    const given = golden.segments[i];
    assert.ok(given !== undefined);
    const expected = within(given, ours);
    // The reference gives segments that it empties no words, even where none were asked for.
    if (expected.words?.length !== 0 || segment.words !== undefined) {
      const words = expected.words?.map((word) => within(word, ours));
      compareWords(segment.words, words, logProbTolerance > 1e-3);
    }
    // Times that come from words share their tolerance.
    const tolerance = expected.words === undefined ? 0 : wordTolerance;
    close(segment.seek, expected.seek, tolerance * 100, 'seek');
    close(segment.start, expected.start, tolerance, 'start');
    close(segment.end, expected.end, tolerance, 'end');
    close(segment.avgLogProb, expected.avg_logprob, logProbTolerance, 'avgLogProb');
    close(segment.compressionRatio, expected.compression_ratio, 1e-9, 'compressionRatio');
    const relative = logProbTolerance * 10;
    close(
      segment.noSpeechProb,
      expected.no_speech_prob,
      relative * expected.no_speech_prob + 1e-7,
      'noSpeechProb',
    );
  }
}

function smallModels(folder: string): string[] {
  return readdirSync(folder).filter((name) =>
    existsSync(join(folder, name, 'transcribe_openai.json')),
  );
}

describe(
  'small models',
  { skip: addonProblem ?? (root === undefined && 'VOXPOD_GOLDENS is not set') },
  () => {
    if (root === undefined) return;
    for (const name of smallModels(root)) {
      describe(name, () => {
        let folder = '';
        let whisper: Whisper;
        before(async () => {
          folder = await goldenModel(join(root, name));
          whisper = await Whisper.load(folder, { dtype: 'float32' });
        });
        after(async () => {
          await whisper.dispose();
          await rm(folder, { recursive: true });
        });
        const cases = readJson<Record<string, GoldenCase>>(root, name, 'transcribe_openai.json');
        for (const [title, { options, result }] of Object.entries(cases)) {
          const unsupported = Object.keys(options).filter(
            (key) => !Object.hasOwn(optionNames, key),
          );
          const skip = unsupported.length > 0 && `not supported: ${unsupported.join(', ')}`;
          it(title, { skip }, async () => {
            const ours: TranscribeOptions = {};
            for (const [key, value] of Object.entries(options)) {
              Object.assign(ours, optionNames[key]?.(value));
            }
            compare(await whisper.transcribe(join(root, 'audio', 'long.wav'), ours), result, 1e-4);
          });
        }
      });
    }
  },
);

async function throughFfmpeg(path: string, samples: number | undefined): Promise<AudioSource> {
  const limits = { maxSeconds: 60, timeoutSeconds: 60 };
  const pcm = await collect(
    await openFfmpeg(path, { program: 'ffmpeg', sampleRate: 16_000, ...limits }),
  );
  if (samples !== undefined) assert.equal(pcm.length, samples);
  return { samples: pcm, sampleRate: 16_000 };
}

const realFolder = root === undefined ? undefined : join(root, 'real');
const realProblem =
  addonProblem ??
  (realFolder === undefined || !existsSync(realFolder)
    ? 'VOXPOD_GOLDENS has no whisper/real'
    : models === undefined
      ? 'VOXPOD_TEST_MODELS is not set'
      : clips === undefined && 'VOXPOD_TEST_AUDIO is not set');

describe('real weights', { skip: realProblem }, () => {
  if (realFolder === undefined || models === undefined || clips === undefined) return;
  for (const file of readdirSync(realFolder).filter((name) => name.endsWith('.json'))) {
    const size = file.slice(0, -'.json'.length);
    const golden = readJson<Record<string, GoldenClip>>(realFolder, file);
    for (const layout of [`whisper-${size}`, `faster-whisper-${size}`]) {
      const folder = join(models, layout);
      const skip = !existsSync(folder) && `VOXPOD_TEST_MODELS has no ${layout}`;
      describe(layout, { skip }, () => {
        let whisper: Whisper;
        before(async () => {
          whisper = await Whisper.load(folder, { dtype: 'float32' });
        });
        after(() => whisper.dispose());
        const runs: [keyof GoldenClip, TranscribeOptions][] = [
          ['greedy', {}],
          ['beam5', { beamSize: 5 }],
          ['words', { wordTimestamps: true }],
        ];
        for (const [clip, expected] of Object.entries(golden)) {
          const path = join(clips, clip);
          for (const [run, extra] of runs) {
            const result = expected[run] as GoldenResult | undefined;
            if (result === undefined) continue;
            const options: TranscribeOptions = { temperature: 0, ...extra };
            // The reference's samples are ffmpeg's, whose resampling differs a little from ours.
            it(
              `${clip}, ${run}, decoded by ffmpeg`,
              { skip: !hasFfmpeg && 'no ffmpeg' },
              async () => {
                const audio = await throughFfmpeg(path, expected.samples);
                compare(await whisper.transcribe(audio, options), result, 1e-3);
              },
            );
            it(`${clip}, ${run}, decoded by voxpod`, async () => {
              compare(await whisper.transcribe(path, options), result, 5e-3);
            });
          }
          const { samples, language_probs: languages } = expected;
          if (languages === undefined) continue;
          it(`${clip}, language`, { skip: !hasFfmpeg && 'no ffmpeg' }, async () => {
            const audio = await throughFfmpeg(path, samples);
            const { probabilities } = await whisper.detectLanguage(audio);
            for (const [code, probability] of Object.entries(languages)) {
              close(probabilities[code] ?? 0, probability, 1e-3, code);
            }
          });
        }
      });
    }
  }
});

describe('word error rate over the English clips', { skip: realProblem }, () => {
  if (models === undefined || clips === undefined) return;
  const english = englishClips(clips);
  for (const folder of readdirSync(models)) {
    for (const dtype of ['auto', 'float32', 'bfloat16', 'int8'] as const) {
      it(`${folder}, ${dtype}`, async () => {
        const whisper = await Whisper.load(join(models, folder), { dtype });
        try {
          const texts: [string, string][] = [];
          for (const { audio, text } of english) {
            texts.push([text, (await whisper.transcribe(audio)).text]);
          }
          const rate = wordErrorRate(texts);
          assert.ok(rate <= 0.045, `word error rate ${rate}`);
        } finally {
          await whisper.dispose();
        }
      });
    }
  }
});
