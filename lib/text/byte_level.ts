/**
 * The byte-level alphabet of GPT-2's vocabularies: each byte is written as one printable character,
 * so that a vocabulary file is text. Printable bytes of Latin-1 stand for themselves, the others
 * take U+0100, U+0101, ... in order.
 */
const bytes = new Map<string, number>();
const utf8 = new TextEncoder();
let next = 0x100;
for (let byte = 0; byte < 256; byte++) {
  const printable =
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  bytes.set(String.fromCharCode(printable ? byte : next++), byte);
}

/**
 * Writes the bytes that a byte-level token spells to `output` from `at` on, and returns where they
 * end. A character outside the alphabet stands for its UTF-8.
 */
export function writeBytes(token: string, output: Uint8Array, at: number): number {
  let end = at;
  for (const character of token) {
    const byte = bytes.get(character);
    if (byte !== undefined) output[end++] = byte;
    else end += utf8.encodeInto(character, output.subarray(end)).written;
  }
  return end;
}
