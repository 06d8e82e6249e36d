/** Parity of what lies around F5-TTS's model with f5-tts and pydub: VOXPOD_GOLDENS, f5/. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { LevelMeter } from '../../lib/audio/silence.js';
import { clipReference } from '../../lib/f5/reference_clip.js';
import { openAudio } from '../../lib/audio/stream.js';
import { collect } from '../../lib/audio/pcm.js';
import { folderFrom } from '../lib/whisper/support.js';

const goldens = folderFrom('VOXPOD_GOLDENS');
const skip = goldens === undefined && 'VOXPOD_GOLDENS is not set';
const root = join(goldens ?? '', 'f5');

const wav = async (...path: string[]): Promise<Float32Array> =>
  collect(await openAudio(join(root, ...path), { sampleRate: 24_000 }));

describe('preparation of the reference', { skip }, () => {
  for (const name of ['short_edges', 'long_sil', 'short_sil', 'no_sil']) {
    it(`takes the same samples of ${name}`, async () => {
      const samples = await wav('preprocess', `${name}.in.wav`);
      const clip = clipReference(samples, new LevelMeter(24_000).push(samples));
      assert.deepEqual(clip.samples, await wav('preprocess', `${name}.out.wav`));
    });
  }
});
void readFileSync;
