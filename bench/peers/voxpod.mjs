// voxpod in a process of its own: MODEL AUDIO SETTINGS, the last {threads, type, language, beams,
// words, batch} as JSON. What this voxpod's options refuse ends it with an error, which the table shows.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SileroDetector, Whisper } from '../../dist/lib/index.js';

const [folder, audio] = process.argv.slice(2);
const { threads, type, language, beams, words, batch } = JSON.parse(process.argv[4]);

// Silero's weights where they are among the models, else the classical detector.
const silero = join(process.env.VOXPOD_TEST_MODELS ?? '', 'silero-vad');
const loadDetector = async () =>
  batch && existsSync(silero) ? { detector: await SileroDetector.load(silero) } : {};

// The one place that says how each mode is asked for.
const load = {
  device: 'cpu',
  dtype: type,
  threads,
  maxBatch: (batch ?? 1) * (beams > 1 ? beams : 2),
};
const transcribe = {
  ...{ language, task: 'transcribe' },
  ...(beams > 1 && { beamSize: beams }),
  ...(words && { wordTimestamps: true }),
  ...(batch && { batchSize: batch }),
};

const started = performance.now();
const whisper = await Whisper.load(folder, load);
const found = await loadDetector();
const loaded = performance.now();
const { text, detector } = await whisper.transcribe(audio, { ...transcribe, ...found });
const ended = performance.now();
const { dtype } = whisper.info ?? {};
await whisper.dispose();
await found.detector?.dispose();

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url)));
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
console.log(
  JSON.stringify({
    packages: { voxpod: version },
    loadSeconds: (loaded - started) / 1000,
    seconds: (ended - loaded) / 1000,
    text,
    peakBytes: Number(peak?.[1] ?? 0) * 1024,
    notes: [dtype, detector && `detector ${detector}`].filter(Boolean).join(', '),
  }),
);
