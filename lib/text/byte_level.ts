/**
 * The byte-level alphabet of GPT-2's vocabularies: each byte is written as one printable character,
 * so that a vocabulary file is text. Printable bytes of Latin-1 stand for themselves, the others
 * take U+0100, U+0101, ... in order.
 */
/** The byte of each character of the alphabet, by its code point; -1 for those outside it. */
const byteOf = new Int16Array(0x144).fill(-1);
let next = 0x100;
for (let byte = 0; byte < 256; byte++) {
  const printable =
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  byteOf[printable ? byte : next++] = byte;
}

/**
 * Writes the bytes that a byte-level token, `text` from `start` to `end` in UTF-8, spells to `output`
 * from `at` on, and returns where they end: never more bytes than it has itself. A character outside
 * the alphabet stands for its UTF-8.
 */
export function spell(
  text: Uint8Array,
  start: number,
  end: number,
  output: Uint8Array,
  at: number,
): number {
  let to = at;
  for (let from = start; from < end; from++) {
    const lead = text[from] ?? 0;
    // No character of the alphabet takes more than two bytes.
    const twice = lead >= 0xc0 && lead < 0xe0;
    const point = twice ? ((lead & 0x1f) << 6) | ((text[from + 1] ?? 0) & 0x3f) : lead;
    // Bytes of longer characters are all above 0x7f, and stand for themselves.
    const byte = twice || lead < 0x80 ? (byteOf[point] ?? -1) : -1;
    output[to++] = byte >= 0 ? byte : lead;
    if (!twice) continue;
    from++;
    if (byte < 0) output[to++] = text[from] ?? 0;
  }
  return to;
}
