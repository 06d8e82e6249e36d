import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeAudio } from '../../../lib/audio/decode.js';
import { EnergyDetector } from '../../../lib/vad/energy.js';
import { SileroDetector } from '../../../lib/vad/silero.js';
import { vadRate } from '../../../lib/vad/types.js';
import { englishClips } from '../../support/clips.js';
import { folderFrom, nativeProblem } from '../../support/needs.js';
import { testDetector } from './detectors.js';
import { hiss, probabilities, sileroWeights } from './sounds.js';

const skip = nativeProblem() ?? false; // decodeAudio resamples in the addon

testDetector(() => new EnergyDetector(), skip);

void test('its name says which detector it is', () => {
  assert.equal(new EnergyDetector().name, 'energy');
});

void test('cost grows linearly with length', async () => {
  const detector = new EnergyDetector();
  const time = async (seconds: number): Promise<number> => {
    const pcm = hiss(seconds, 0.01);
    let best = Infinity;
    for (let i = 0; i < 3; i++) {
      const begin = process.cpuUsage();
      await probabilities(detector.stream(), pcm);
      best = Math.min(best, process.cpuUsage(begin).user);
    }
    return best;
  };
  await time(30);
  const [short, long] = [await time(60), await time(240)];
  assert.ok(long < 8 * short, `60 s: ${short} us, 240 s: ${long} us`);
});

const audio = folderFrom('VOXPOD_TEST_AUDIO');
const weights = sileroWeights();
const without = audio === undefined ? 'VOXPOD_TEST_AUDIO is not set' : weights.skip;

void test('agrees with Silero on real speech', { skip: without }, async (context) => {
  const energy = new EnergyDetector();
  const silero = await SileroDetector.load(weights.folder);
  let windows = 0;
  let equal = 0;
  let missed = 0;
  for (const clip of englishClips(audio ?? '')) {
    const pcm = await decodeAudio(clip.audio, { sampleRate: vadRate });
    const wanted = await probabilities(silero.stream(), pcm);
    const got = await probabilities(energy.stream(), pcm);
    wanted.forEach((p, i) => {
      const found = (got[i] ?? 0) >= 0.5;
      windows++;
      if (p >= 0.5 === found) equal++;
      else if (!found) missed++;
    });
  }
  await silero.dispose();
  context.diagnostic(
    `equal ${(equal / windows).toFixed(3)}, missed ${(missed / windows).toFixed(3)}`,
  );
  assert.ok(equal > 0.85 * windows);
  assert.ok(missed < 0.04 * windows);
});
