/**
 * The byte-level alphabet of GPT-2's vocabularies: each byte is written as one printable character,
 * so that a vocabulary file is text. Printable bytes of Latin-1 stand for themselves, the others
 * take U+0100, U+0101, ... in order.
 */
const bytes = new Map<string, number>();
let next = 0x100;
for (let byte = 0; byte < 256; byte++) {
  const printable =
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  bytes.set(String.fromCharCode(printable ? byte : next++), byte);
}

/** Appends the bytes that a byte-level token spells; a character outside the alphabet stands for its UTF-8. */
export function appendBytes(token: string, output: number[]): void {
  for (const character of token) {
    const byte = bytes.get(character);
    if (byte !== undefined) output.push(byte);
    else output.push(...Buffer.from(character, 'utf8'));
  }
}
