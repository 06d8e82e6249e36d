// Real speech of a given length with its text: clips joined with half a second between, repeated.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const RATE = 16_000;
const GAP = new Int16Array(RATE / 2);

/** Writes 16 kHz mono WAV of at least `seconds` to `path`; returns its text and true length. */
export function writeSpeech(clips, seconds, path) {
  const decoded = clips.map((clip) => ({ ...clip, samples: decode(clip.audio) }));
  const parts = [];
  const texts = [];
  let length = 0;
  for (let i = 0; length < seconds * RATE; i++) {
    const { samples, text } = decoded[i % decoded.length];
    parts.push(samples, GAP);
    texts.push(text);
    length += samples.length + GAP.length;
  }
  const data = Buffer.concat(parts.map((part) => Buffer.from(part.buffer)));
  writeFileSync(path, Buffer.concat([wavHeader(data.length), data]));
  return { text: texts.join(' '), seconds: length / RATE };
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
