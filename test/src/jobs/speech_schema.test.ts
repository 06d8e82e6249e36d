import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSpeech, speechSchema } from '../../../src/jobs/speech_schema.js';

test('text alone is a job; what is not sent has its default', () => {
  assert.deepEqual(parseSpeech({ text: '你好' }), {
    text: '你好',
    model: null,
    voice: null,
    reference_audio: null,
    reference_audio_base64: null,
    reference_text: null,
    seed: null,
    format: 'wav',
    sample_rate: 24_000,
    stream: false,
    output: 'auto',
    normalize_text: true,
    spectrogram: false,
    edits: null,
    steps: null,
    cfg_strength: null,
    sway_sampling_coef: null,
    speed: null,
    duration: null,
    cross_fade: null,
    remove_silence: null,
    target_rms: null,
    temperature: null,
    top_p: null,
    top_k: null,
    scene_prompt: null,
    max_new_tokens: null,
    ras_win_len: null,
    ras_win_max_num_repeat: null,
  });
});

const reference_audio = 'https://example.com/voice.wav';

test("each family's options are taken, to their limits", () => {
  const f5 = {
    ...{ text: 'Hello', model: 'f5-tts', reference_audio, reference_text: 'Some words.', seed: 7 },
    ...{ steps: 16, cfg_strength: 0, sway_sampling_coef: 0, speed: 0.3, duration: 30 },
    ...{
      cross_fade: 0,
      remove_silence: true,
      target_rms: 0.5,
      format: 'opus',
      sample_rate: 48_000,
    },
    ...{ stream: true, output: 'base64', normalize_text: false },
  };
  const higgs = {
    ...{ text: 'Hello', model: 'higgs-audio-v2', temperature: 0, top_p: 1, top_k: 0 },
    ...{ scene_prompt: 'A street.', max_new_tokens: 8192, ras_win_len: 0, seed: null },
    ...{ ras_win_max_num_repeat: 1, voice: 'anna' },
  };
  for (const input of [f5, higgs]) {
    const parsed: Record<string, unknown> = parseSpeech(input);
    for (const [key, value] of Object.entries(input)) assert.equal(parsed[key], value, key);
  }
});

test('edits are taken, a duration as null where it is not sent', () => {
  const edits = [
    { start: 1.42, end: 2.44 },
    { start: 3.1, end: 3.1, duration: 0.8 },
  ];
  const parsed = parseSpeech({ text: 'All of it.', reference_audio, edits, steps: 7 });
  assert.deepEqual(parsed.edits, [{ ...edits[0], duration: null }, edits[1]]);
  const found = { text: 'All of it.', reference_audio, edits: 'auto', reference_text: 'It.' };
  assert.equal(parseSpeech(found).edits, 'auto');
});

test('what is wrong is refused by name', () => {
  const rows: [Record<string, unknown>, RegExp][] = [
    [{ text: undefined }, /text/],
    [{ text: '' }, /text must contain something to say/],
    [{ text: ' \n' }, /something to say/],
    [{ text: '🙂🙃' }, /something to say/],
    [{ text: 'a'.repeat(50_001) }, /text: .*50000/],
    [{ speed: 0 }, /speed: .*0\.3/],
    [{ speed: NaN }, /speed/],
    [{ steps: 1.5 }, /steps/],
    [{ top_p: 0 }, /top_p/],
    [{ seed: -1 }, /seed/],
    [{ format: 'aac' }, /format/],
    [{ sample_rate: 11_025 }, /sample_rate/],
    [{ output: 'ftp' }, /output/],
    [{ stream: true, output: 'url' }, /output: is url, and stream/],
    [{ stream: true, spectrogram: true }, /spectrogram: is of the whole/],
    [{ model: 'E2-TTS-base' }, /speaks with a given voice/],
    [{ voice: '../etc/passwd' }, /voice must be a name/],
    [{ model: 'org/name' }, /model must be a name/],
    [{ voice: 'anna', reference_audio }, /voice: give it or a reference, not both/],
    [{ reference_audio, reference_audio_base64: 'UklGRg==' }, /not both/],
    [{ reference_text: 'Some words.' }, /reference_text belongs|reference_text: belongs/],
    [{ model: 'f5-tts' }, /voice: f5-tts speaks with a given voice/],
    [{ model: 'f5-tts', voice: 'anna', top_k: 5 }, /top_k: is an option of Higgs Audio V2/],
    [{ edits: 'auto' }, /edits: are of a recording: send reference_audio/],
    [{ reference_audio, edits: [] }, /edits: .*1 item/],
    [{ reference_audio, edits: 'all' }, /edits: .*expected array.*"auto"/],
    [{ reference_audio, edits: [{ start: 1 }] }, /edits\.0\.end: .*number/],
    [{ reference_audio, edits: [{ start: -1, end: 1 }] }, /edits\.0\.start: .*0/],
    [{ reference_audio, edits: [{ start: 0, end: 1, text: 'a' }] }, /unknown option "text"/],
    [{ reference_audio, edits: Array(101).fill({ start: 0, end: 1 }) }, /edits: .*100/],
    ...['stream', 'remove_silence'].map((key): [Record<string, unknown>, RegExp] => [
      { reference_audio, edits: 'auto', [key]: true },
      new RegExp(`${key}: does not go with edits`),
    ]),
    ...['speed', 'duration', 'cross_fade'].map((key): [Record<string, unknown>, RegExp] => [
      { reference_audio, edits: 'auto', [key]: 1 },
      new RegExp(`${key}: does not go with edits`),
    ]),
    [{ model: 'higgs-audio-v2', reference_audio, edits: 'auto' }, /edits: is an option of F5-TTS/],
    [{ model: 'higgs-audio-v2', steps: 16 }, /steps: is an option of F5-TTS/],
    [{ sped: 1, steps: 0 }, /steps.*unknown option "sped"|unknown option "sped".*steps/],
  ];
  for (const [input, message] of rows) {
    const job = { text: 'Hello', ...input };
    assert.throws(() => parseSpeech(job), { code: 'JOB_INVALID', message }, JSON.stringify(input));
  }
});

test('every option is described', () => {
  for (const [key, field] of Object.entries(speechSchema.shape)) {
    assert.ok((field.description ?? '').length > 5, key);
  }
});
