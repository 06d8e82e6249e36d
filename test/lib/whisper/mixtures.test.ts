/** Real speech as it comes in: telephones, stereo, noise, pauses, and many at once. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeAudio } from '../../../lib/audio/decode.js';
import { Whisper } from '../../../lib/whisper/whisper.js';
import { wavBytes } from '../audio/wav_bytes.js';
import { atDecibels, concatenate, hiss, mix, silence } from '../vad/sounds.js';
import { folderFrom, skipUnless } from '../../support/needs.js';
import { words } from '../../support/word_errors.js';

const models = folderFrom('VOXPOD_TEST_MODELS');
const clips = folderFrom('VOXPOD_TEST_AUDIO');
const skip = skipUnless(['VOXPOD_TEST_MODELS', models], ['VOXPOD_TEST_AUDIO', clips]);
const sampleRate = 16_000;
const spoken = /not what your country can do for you\W+ask what you can do for your country/i;

/** Three steady chords, one behind the other. */
function chords(seconds: number, level: number): Float32Array {
  const roots = [220, 261.6, 196];
  return silence(seconds).map((_, i) => {
    const root = roots[Math.floor((i / sampleRate / seconds) * roots.length)] ?? 220;
    return [1, 1.25, 1.5].reduce(
      (sum, ratio) => sum + (level / 3) * Math.sin((2 * Math.PI * root * ratio * i) / sampleRate),
      0,
    );
  });
}

describe('speech as it comes in', { skip }, () => {
  let whisper: Whisper;
  let jfk: Float32Array = new Float32Array();
  before(async () => {
    whisper = await Whisper.load(join(models ?? '', 'whisper-base'));
    jfk = await decodeAudio(join(clips ?? '', 'jfk.wav'));
  });
  after(() => whisper.dispose());

  const hear = async (samples: Float32Array, rate = sampleRate): Promise<string> => {
    const { text, segments, duration } = await whisper.transcribe(
      { samples, sampleRate: rate },
      { language: 'en' },
    );
    let last = 0;
    for (const { start, end } of segments) {
      assert.ok(start >= last && end >= start && end <= duration, `${start} to ${end}`);
      last = start;
    }
    return text;
  };

  it('over the telephone, at 8 kHz', async () => {
    const pcm = await decodeAudio(join(clips ?? '', 'jfk.wav'), { sampleRate: 8000 });
    assert.match(await hear(pcm, 8000), spoken);
  });

  it('in stereo, on one side', async () => {
    const data = Buffer.alloc(jfk.length * 4);
    jfk.forEach((sample, i) => data.writeInt16LE(Math.round(sample * 32_767), i * 4));
    const wav = wavBytes({ channels: 2, data });
    assert.match((await whisper.transcribe(wav, { language: 'en' })).text, spoken);
  });

  it('very quiet, in hiss, and over chords', async () => {
    assert.match(await hear(atDecibels(jfk, -60)), spoken);
    assert.match(await hear(mix(jfk, hiss(jfk.length / sampleRate, 0.01))), spoken);
    assert.match(await hear(mix(jfk, chords(jfk.length / sampleRate, 0.05))), spoken);
  });

  it('behind another clip, and behind twenty seconds of nothing', async () => {
    const other = await decodeAudio(join(clips ?? '', 'en_woman.wav'));
    const joined = await hear(concatenate(other, silence(0.5), jfk));
    assert.match(joined, spoken);
    const apart = await hear(concatenate(other, silence(20), jfk));
    assert.match(apart, spoken);
    assert.ok(words(apart).length <= words(joined).length + 1, apart);
  });

  it('a hundred times at once', async () => {
    const short = jfk.subarray(0, 3 * sampleRate);
    const one = await hear(short);
    const all = await Promise.all(Array.from({ length: 100 }, () => hear(short)));
    assert.ok(all.every((text) => text === one));
  });
});
