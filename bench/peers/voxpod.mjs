// voxpod in a process of its own: MODEL AUDIO THREADS DTYPE LANGUAGE [BEAMS [WORDS]]
import { readFileSync } from 'node:fs';
import { Whisper } from '../../dist/lib/index.js';

const [folder, audio, threads, dtype, language, beams = '1', words = '0'] = process.argv.slice(2);
const started = performance.now();
const whisper = await Whisper.load(folder, { device: 'cpu', dtype, threads: Number(threads) });
const loaded = performance.now();
const { text } = await whisper.transcribe(audio, {
  language,
  task: 'transcribe',
  wordTimestamps: words === '1',
  ...(beams === '1' ? {} : { beamSize: Number(beams) }),
});
const ended = performance.now();
await whisper.dispose();

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url)));
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
console.log(
  JSON.stringify({
    version: `voxpod ${version}`,
    loadSeconds: (loaded - started) / 1000,
    seconds: (ended - loaded) / 1000,
    text,
    peakBytes: Number(peak?.[1] ?? 0) * 1024,
  }),
);
