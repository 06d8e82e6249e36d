// Real speech of a given length with its text: one clip where one is of that length, else clips joined
// with half a second between, each once before any comes again.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const RATE = 16_000;
const GAP = new Int16Array(RATE / 2);

/** Writes 16 kHz mono WAV of about `seconds` to `path`; returns its text and true length. */
export function writeSpeech(clips, seconds, path) {
  const decoded = clips.map((clip) => ({ ...clip, samples: decode(clip.audio) }));
  const chosen = arrange(decoded, seconds * RATE);
  const parts = chosen.flatMap(({ samples }, i) => (i === 0 ? [samples] : [GAP, samples]));
  const data = Buffer.concat(parts.map((part) => Buffer.from(part.buffer)));
  writeFileSync(path, Buffer.concat([wavHeader(data.length), data]));
  return {
    text: chosen.map(({ text }) => text).join(' '),
    seconds: data.length / 2 / RATE,
    clips: chosen.length,
    distinct: new Set(chosen).size,
  };
}

/** The clip whose length is within a tenth of `length` samples, or clips that reach it together. */
function arrange(clips, length) {
  const distance = ({ samples }) => Math.abs(samples.length - length);
  const closest = clips.reduce((best, clip) => (distance(clip) < distance(best) ? clip : best));
  if (distance(closest) <= length / 10) return [closest];
  const chosen = [];
  for (let i = 0, reached = 0; reached < length; i++) {
    const clip = clips[i % clips.length];
    chosen.push(clip);
    reached += clip.samples.length + GAP.length;
  }
  return chosen;
}

function decode(path) {
  const bytes = execFileSync(
    'ffmpeg',
    ['-v', 'error', '-nostdin', '-i', path, '-ac', '1', '-ar', String(RATE), '-f', 's16le', '-'],
    { maxBuffer: 1 << 30 },
  );
  return new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

/** Canonical 44-byte header: PCM, mono, 16 bit. */
function wavHeader(dataBytes) {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + dataBytes, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(RATE, 24);
  header.writeUInt32LE(RATE * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(dataBytes, 40);
  return header;
}
