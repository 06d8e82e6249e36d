/** How repetitive a text is: Whisper takes text that compresses too well for a decoding loop. */
import { deflate } from 'pako';

const encoder = new TextEncoder();

/**
 * Bytes of UTF-8 over bytes after zlib at its default level; 0 for no text.
 *
 * Not by Node's zlib: it is Chromium's, whose hash of four bytes overlooks matches of three, so
 * that about half of all ratios differ from stock zlib's and some cross the threshold of 2.4.
 * pako with `legacyHash` gives stock zlib's output byte for byte.
 */
export function compressionRatio(text: string): number {
  const bytes = encoder.encode(text);
  return bytes.length / deflate(bytes, { legacyHash: true }).length;
}
