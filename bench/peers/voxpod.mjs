// voxpod in a process of its own: MODEL AUDIO SETTINGS, the last {threads, type, language, beams,
// words, batch} as JSON. What this voxpod's options refuse ends it with an error, which the table shows.
import { readFileSync } from 'node:fs';
import { Whisper } from '../../dist/lib/index.js';

const [folder, audio] = process.argv.slice(2);
const { threads, type, language, beams, words, batch } = JSON.parse(process.argv[4]);

// The one place that says how each mode is asked for.
const load = { device: 'cpu', dtype: type, threads };
const transcribe = {
  ...{ language, task: 'transcribe' },
  ...(beams > 1 && { beamSize: beams }),
  ...(words && { wordTimestamps: true }),
  ...(batch && { batchSize: batch, vad: 'auto' }),
};

const started = performance.now();
const whisper = await Whisper.load(folder, load);
const loaded = performance.now();
const { text, vad } = await whisper.transcribe(audio, transcribe);
const ended = performance.now();
const { dtype } = whisper.info ?? {};
await whisper.dispose();

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url)));
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
console.log(
  JSON.stringify({
    packages: { voxpod: version },
    loadSeconds: (loaded - started) / 1000,
    seconds: (ended - loaded) / 1000,
    text,
    peakBytes: Number(peak?.[1] ?? 0) * 1024,
    notes: [dtype, vad && `detector ${vad}`].filter(Boolean).join(', '),
  }),
);
