import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resolveTranscribeOptions, resolveWhisperOptions } from '../../../lib/whisper/defaults.js';

describe('options', () => {
  const wrong: [object, RegExp][] = [
    [{ langauge: 'en' }, /Did you mean language/],
    [{ language: 3 }, /a string for language/],
    [{ task: 'sing' }, /one of transcribe, translate for task/],
    [{ temperature: -1 }, /between 0 and 10 for temperature/],
    [{ temperature: [] }, /at least one number/],
    [{ temperature: [0, '1'] }, /temperature\[1\]/],
    [{ temperature: Array(21).fill(0) }, /at most 20/],
    [{ bestOf: 0 }, /bestOf/],
    [{ compressionRatioThreshold: NaN }, /compressionRatioThreshold/],
    [{ conditionOnPreviousText: 1 }, /true or false/],
    [{ initialPrompt: 'x'.repeat(5001) }, /at most 5000 characters/],
    [{ suppressTokens: '1,2' }, /an array/],
    [{ suppressTokens: [-2] }, /suppressTokens\[0\]/],
    [{ maxInitialTimestamp: 31 }, /maxInitialTimestamp/],
    [{ beamSize: 0 }, /between 1 and 64 for beamSize/],
    [{ beamSize: 5, patience: 0 }, /patience/],
    [{ patience: 1 }, /patience says nothing without beamSize/],
    [{ lengthPenalty: 1.5 }, /between 0 and 1 for lengthPenalty/],
    [{ repetitionPenalty: 0 }, /repetitionPenalty/],
    [{ noRepeatNgramSize: 1.5 }, /noRepeatNgramSize/],
    [{ prefix: 5 }, /a string for prefix/],
    [{ hotwords: 'x'.repeat(5001) }, /at most 5000 characters/],
    [{ clipTimestamps: '1,2' }, /an array/],
    [{ clipTimestamps: [-1] }, /clipTimestamps\[0\]/],
    [{ clipTimestamps: [3, 2] }, /ascending seconds for clipTimestamps but received 2 behind 3/],
    [{ clipTimestamps: [3, 3] }, /ascending/],
    [{ clipTimestamps: [1, 3, 2] }, /ascending/],
    [{ wordTimestamps: 'yes' }, /true or false/],
    [{ hallucinationSilenceThreshold: 1 }, /says nothing without wordTimestamps: true/],
    [{ wordTimestamps: true, hallucinationSilenceThreshold: -1 }, /between 0 and 600/],
    [{ batchSize: 65 }, /between 1 and 64 for batchSize/],
    [{ batchSize: 2, vad: false }, /batchSize above 1 needs to know where/],
    [{ vad: 'silero' }, /a boolean or options of voice activity detection/],
    [{ vad: { threshold: 2 } }, /threshold/],
    [{ vad: { treshold: 0.4 } }, /Did you mean threshold/],
    [{ vad: true, clipTimestamps: [0, 5] }, /give one/],
    [{ detector: { stream: (): undefined => undefined } }, /detector says nothing without vad/],
    [{ vad: true, detector: 'silero' }, /a SileroDetector or an EnergyDetector/],
    [{ multilingual: true, language: 'en' }, /give one of them/],
    [{ sampleLength: 0 }, /sampleLength/],
    [{ seed: 2 ** 53 }, /seed/],
    [{ signal: 'stop' }, /an AbortSignal/],
    [{ onProgress: true }, /a function/],
  ];
  for (const [options, message] of wrong) {
    it(`refuse ${JSON.stringify(options).slice(0, 60)}`, () => {
      assert.throws(() => resolveTranscribeOptions(options), {
        code: 'INVALID_ARGUMENT',
        message,
      });
    });
  }

  it('refuse wrong ones for loading', () => {
    const cases: [object, RegExp][] = [
      [{ device: 'gpu' }, /"cpu", "cuda" or "cuda:N"/],
      [{ dtype: 'int4' }, /one of auto, float32/],
      [{ threads: -1 }, /threads/],
      [{ maxBatch: 0 }, /maxBatch/],
      [{ maxQueue: 1e9 }, /maxQueue/],
      [{ cache: 1 }, /Unknown option "cache"/],
    ];
    for (const [options, message] of cases) {
      assert.throws(() => resolveWhisperOptions(options), {
        code: 'INVALID_ARGUMENT',
        message,
      });
    }
  });

  it('have the defaults of the reference', () => {
    const { temperatures, compressionRatioThreshold, logProbThreshold, noSpeechThreshold } =
      resolveTranscribeOptions();
    assert.deepEqual(temperatures, [0, 0.2, 0.4, 0.6, 0.8, 1]);
    assert.deepEqual(
      [compressionRatioThreshold, logProbThreshold, noSpeechThreshold],
      [2.4, -1, 0.6],
    );
    assert.deepEqual(resolveTranscribeOptions({ temperature: 0.3 }).temperatures, [0.3]);
    assert.equal(resolveTranscribeOptions({ noSpeechThreshold: null }).noSpeechThreshold, null);
  });

  it('search greedily unless told otherwise', () => {
    const { beamSize, lengthPenalty, wordTimestamps, clipTimestamps } = resolveTranscribeOptions();
    assert.deepEqual(
      [beamSize, lengthPenalty, wordTimestamps, clipTimestamps],
      [undefined, undefined, false, [0]],
    );
    // Clips may follow one another without a gap.
    const clips = resolveTranscribeOptions({ clipTimestamps: [1, 2, 2, 3] });
    assert.deepEqual(clips.clipTimestamps, [1, 2, 2, 3]);
    assert.equal(resolveTranscribeOptions({ hallucinationSilenceThreshold: null }).bestOf, 5);
  });

  it('are copied: a list that changes later changes nothing', () => {
    const temperature = [0, 0.5];
    const resolved = resolveTranscribeOptions({ temperature });
    temperature.push(9);
    assert.deepEqual(resolved.temperatures, [0, 0.5]);
  });
});
