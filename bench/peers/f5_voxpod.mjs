// voxpod's F5-TTS in a process of its own: WEIGHTS SETTINGS, the last {threads, dtype, condition,
// frames, steps, tokens} as JSON. It is given what f5_reference.py gives the authors' model.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadNative } from '../../dist/lib/binding.js';
import { flowTimes } from '../../dist/lib/f5/schedule.js';

const MELS = 100;
const weights = process.argv[2];
const settings = JSON.parse(process.argv[3]);
const { threads, dtype, condition, frames, steps } = settings;

const native = loadNative();
const started = performance.now();
const model = await native.loadF5(
  join(weights, 'f5', 'F5TTS_v1_Base', 'model_1250000.safetensors'),
  join(weights, 'vocos', 'pytorch_model.bin'),
  {
    ...{ device: 'cpu', dtype, threads, maxBatchFrames: 1, maxQueue: 8 },
    architecture: { maskTextPadding: true, rotaryHeads: 'all', averageUpsampling: false },
  },
);
const loaded = performance.now();

const noise = new native.NoiseGenerator(1);
const request = {
  condition: noise.draw(condition * MELS),
  tokens: Int32Array.from({ length: settings.tokens }, (_, i) => (i * 7919) % 2545),
  frames,
  noise: noise.draw(frames * MELS),
  ...{ method: 'euler', guidance: 2 },
};
const sample = (count) =>
  model.sample({
    ...request,
    times: flowTimes({ steps: count, swaySamplingCoef: -1, epss: true }),
  });

await sample(1);
const begun = performance.now();
const mel = await sample(steps);
const sampled = performance.now();
const wave = await model.vocode(mel.slice(condition * MELS));
const ended = performance.now();
const placement = model.placement;
await model.dispose();

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url)));
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
console.log(
  JSON.stringify({
    packages: { voxpod: version },
    dtype: placement.dtype,
    weightBytes: placement.weightBytes,
    loadSeconds: (loaded - started) / 1000,
    seconds: (sampled - begun) / 1000,
    vocoder: (ended - sampled) / 1000,
    samples: wave.length,
    peakBytes: Number(peak?.[1] ?? 0) * 1024,
  }),
);
