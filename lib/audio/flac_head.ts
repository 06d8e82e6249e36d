/** What ffmpeg leaves empty in a FLAC file on a pipe. Layout: RFC 9639, section 8.2. */

/** "fLaC", the head of a block, and the stream information in it. */
export const flacHeadBytes = 42;
/** In it: the number of samples, of which there are 36 bits, and the MD5 of them. */
const totalAt = 21;
const digestAt = 26;

/** The head with both filled in. */
export function completeFlacHead(
  head: Uint8Array,
  samples: number,
  digest: Uint8Array,
): Uint8Array {
  const complete = Uint8Array.from(head);
  const data = new DataView(complete.buffer);
  // The upper four bits stand in a byte with others.
  data.setUint8(totalAt, (data.getUint8(totalAt) & 0xf0) | Math.floor(samples / 2 ** 32));
  data.setUint32(totalAt + 1, samples % 2 ** 32);
  complete.set(digest, digestAt);
  return complete;
}
