/** What ffmpeg leaves empty in a FLAC file on a pipe. Layout: RFC 9639, section 8.2. */
import { createHash } from 'node:crypto';

/** In the stream information behind "fLaC" and the head of its block. */
const totalAt = 21;
const digestAt = 26;

/** Fills in, in place, how many samples there are in all pieces and the MD5 of them. */
export function completeFlac(file: Uint8Array, pieces: readonly Int16Array[]): void {
  const digest = createHash('md5');
  for (const { buffer, byteOffset, byteLength } of pieces) {
    digest.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  const samples = pieces.reduce((sum, { length }) => sum + length, 0);
  const data = new DataView(file.buffer, file.byteOffset, file.byteLength);
  // 36 bits, the upper four of them in a byte with others.
  data.setUint8(totalAt, (data.getUint8(totalAt) & 0xf0) | Math.floor(samples / 2 ** 32));
  data.setUint32(totalAt + 1, samples % 2 ** 32);
  file.set(digest.digest(), digestAt);
}
