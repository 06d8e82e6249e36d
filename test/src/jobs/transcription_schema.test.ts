import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transcribeOptions } from '../../../src/jobs/transcription.js';
import { parseTranscription } from '../../../src/jobs/transcription_schema.js';

/** Every option of worker-faster_whisper with its default. */
const OFFICIAL = {
  audio: 'https://example.com/a.mp3',
  audio_base64: null,
  model: 'base',
  transcription: 'plain_text',
  translate: false,
  translation: 'plain_text',
  language: null,
  temperature: 0,
  best_of: 5,
  beam_size: 5,
  patience: 1.0,
  length_penalty: 0,
  suppress_tokens: '-1',
  initial_prompt: null,
  condition_on_previous_text: true,
  temperature_increment_on_fallback: 0.2,
  compression_ratio_threshold: 2.4,
  logprob_threshold: -1.0,
  no_speech_threshold: 0.6,
  enable_vad: false,
  word_timestamps: false,
};

test("the official worker's defaults, written out or not, are the same", () => {
  const written = transcribeOptions(parseTranscription(OFFICIAL));
  assert.deepEqual(transcribeOptions(parseTranscription({})), written);
  assert.deepEqual(written, {
    beamSize: 5,
    patience: 1,
    temperature: [0, 0.2, 0.4, 0.6, 0.8, 1],
    bestOf: 5,
    compressionRatioThreshold: 2.4,
    logProbThreshold: -1,
    noSpeechThreshold: 0.6,
    conditionOnPreviousText: true,
    suppressTokens: [-1],
    seed: 0,
  });
});

test('options arrive at the library', () => {
  const options = transcribeOptions(
    parseTranscription({
      language: 'de',
      temperature: 0.5,
      temperature_increment_on_fallback: 0.3,
      best_of: 2,
      beam_size: 3,
      patience: 2,
      length_penalty: 0.6,
      word_timestamps: true,
      suppress_tokens: '-1, 5,7',
      initial_prompt: 'Guten Tag',
      condition_on_previous_text: false,
      compression_ratio_threshold: null,
      logprob_threshold: -0.5,
      no_speech_threshold: null,
      seed: 42,
    }),
  );
  assert.deepEqual(options, {
    language: 'de',
    temperature: [0.5, 0.8],
    bestOf: 2,
    beamSize: 3,
    patience: 2,
    lengthPenalty: 0.6,
    wordTimestamps: true,
    suppressTokens: [-1, 5, 7],
    initialPrompt: 'Guten Tag',
    conditionOnPreviousText: false,
    compressionRatioThreshold: null,
    logProbThreshold: -0.5,
    noSpeechThreshold: null,
    seed: 42,
  });
  const fixed = parseTranscription({ temperature: 0.4, temperature_increment_on_fallback: null });
  assert.deepEqual(transcribeOptions(fixed).temperature, [0.4]);
  const empty = parseTranscription({ suppress_tokens: '' });
  assert.deepEqual(transcribeOptions(empty).suppressTokens, []);
});

test('a beam of one is the greedy search, and null leaves it to the library', () => {
  for (const beam_size of [1, null]) {
    const options = transcribeOptions(parseTranscription({ beam_size, patience: 2 }));
    assert.equal(options.beamSize, undefined);
    // Which says nothing without a beam.
    assert.equal(options.patience, undefined);
  }
  const nothing = transcribeOptions(
    parseTranscription({ patience: null, length_penalty: null, word_timestamps: null }),
  );
  assert.deepEqual([nothing.patience, nothing.lengthPenalty], [1, undefined]);
  assert.equal(nothing.wordTimestamps, undefined);
});

test('speech is looked for where a job says so, or asks for batches', () => {
  const speech = (input: object): unknown => {
    const { vad, batchSize, multilingual } = transcribeOptions(parseTranscription(input));
    return { vad, batchSize, multilingual };
  };
  const nothing = { vad: undefined, batchSize: undefined, multilingual: undefined };
  assert.deepEqual(speech({ enable_vad: false, batch_size: 1, multilingual: false }), nothing);
  const nulls = { enable_vad: null, batch_size: null, multilingual: null, vad_parameters: null };
  assert.deepEqual(speech(nulls), nothing);
  assert.deepEqual(speech({ enable_vad: true }), { ...nothing, vad: {} });
  // False is the official client's default, and no contradiction.
  assert.deepEqual(speech({ enable_vad: false, batch_size: 8, multilingual: true }), {
    ...{ vad: {}, batchSize: 8, multilingual: true },
  });
  const vad_parameters = {
    ...{ threshold: 0.6, neg_threshold: 0.2, min_speech_duration_ms: 250 },
    ...{ max_speech_duration_s: 20, min_silence_duration_ms: 500, speech_pad_ms: 0 },
  };
  assert.deepEqual(speech({ enable_vad: true, vad_parameters }), {
    ...nothing,
    vad: {
      ...{ threshold: 0.6, negativeThreshold: 0.2, minSpeech: 0.25 },
      ...{ maxSpeech: 20, minSilence: 0.5, speechPad: 0 },
    },
  });
  assert.deepEqual(speech({ batch_size: 2, vad_parameters: { threshold: null } }), {
    ...{ ...nothing, vad: {}, batchSize: 2 },
  });
});

test('what changes nothing is accepted', () => {
  assert.equal(parseTranscription({ enable_vad: null }).enable_vad, false);
  assert.equal(parseTranscription({ transcription: 'plain text' }).transcription, 'plain_text');
});

test('wrong input is refused with everything that is wrong', () => {
  const rows: [unknown, RegExp][] = [
    [{ langauge: 'en' }, /unknown option "langauge"/],
    [{ temperature: 'hot' }, /temperature: .*number/],
    [{ temperature: 3 }, /temperature/],
    [{ temperature: NaN }, /temperature/],
    [{ best_of: 0 }, /best_of/],
    [{ beam_size: 0 }, /beam_size/],
    [{ beam_size: 33 }, /beam_size/],
    [{ patience: 0 }, /patience/],
    [{ length_penalty: 2 }, /length_penalty/],
    [{ word_timestamps: 'yes' }, /word_timestamps/],
    [{ transcription: 'docx' }, /transcription/],
    [{ suppress_tokens: 'a,b' }, /suppress_tokens must be/],
    [{ model: '../../etc' }, /model must be/],
    [{ model: '/models/x' }, /model must be/],
    [{ seed: -1 }, /seed/],
    [{ batch_size: 0 }, /batch_size/],
    [{ batch_size: 65 }, /batch_size/],
    [{ batch_size: 1.5 }, /batch_size/],
    [{ enable_vad: 'yes' }, /enable_vad/],
    [{ vad_parameters: { threshold: 0.5 } }, /vad_parameters say nothing without enable_vad/],
    [{ enable_vad: true, vad_parameters: { treshold: 0.5 } }, /unknown option "treshold"/],
    [{ enable_vad: true, vad_parameters: { threshold: 2 } }, /vad_parameters\.threshold/],
    [{ multilingual: true, language: 'de' }, /multilingual hears .* send one of them/],
    [{ audio: 5 }, /audio/],
    ['text', /object/],
    [[], /object/],
    [{ a: 1, language: 7 }, /language.*unknown option "a"|unknown option "a".*language/],
  ];
  for (const [input, message] of rows) {
    assert.throws(() => parseTranscription(input), { code: 'JOB_INVALID', message });
  }
});
