/**
 * Byte pair encoding as openai-whisper's tiktoken does it: text is cut by GPT-2's pattern, then in
 * each piece the two neighbours whose joint bytes are the token of the lowest id become one, until
 * none are. The merges of a tokenizer.json are in the order of those ids.
 */
import { findToken, type TokenTable } from './token_table.js';

/** \s of JavaScript is not Unicode's white space: it has U+FEFF and lacks U+0085. */
const pieces =
  /'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

const utf8 = new TextEncoder();

/** Ids of a text; bytes that are no token are left out. */
export function encodeBytePairs(table: TokenTable, text: string): number[] {
  const ids: number[] = [];
  for (const [piece] of text.matchAll(pieces)) encodePiece(table, utf8.encode(piece), ids);
  return ids;
}

function encodePiece(table: TokenTable, bytes: Uint8Array, ids: number[]): void {
  const whole = findToken(table, bytes, 0, bytes.length);
  if (whole >= 0) {
    ids.push(whole);
    return;
  }
  const { length } = bytes;
  // Parts are known by their first byte: where the next and the previous one start, and the token
  // that a part and the next would be, -1 for none.
  const next = Uint32Array.from(bytes, (_, i) => i + 1);
  const previous = Int32Array.from(bytes, (_, i) => i - 1);
  const joint = new Int32Array(length).fill(-1);
  const queue = new MinHeap();
  const offer = (part: number): void => {
    const second = next[part] ?? length;
    const id = second < length ? findToken(table, bytes, part, next[second] ?? length) : -1;
    joint[part] = id;
    // Of the same token the leftmost comes first.
    if (id >= 0) queue.push(id * length + part);
  };
  for (let part = 0; part + 1 < length; part++) offer(part);

  for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
    const part = key % length;
    // One of the two has gone into another pair meanwhile.
    if (joint[part] !== Math.floor(key / length)) continue;
    const second = next[part] ?? length;
    const third = next[second] ?? length;
    joint[second] = -1;
    next[part] = third;
    if (third < length) previous[third] = part;
    offer(part);
    const before = previous[part] ?? -1;
    if (before >= 0) offer(before);
  }
  for (let part = 0; part < length; part = next[part] ?? length) {
    const id = findToken(table, bytes, part, next[part] ?? length);
    if (id >= 0) ids.push(id);
  }
}

/** A binary heap: without one, a long text without spaces takes quadratic time. */
class MinHeap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.length;
    for (; at > 0; at = (at - 1) >> 1) {
      const parent = items[(at - 1) >> 1] ?? -Infinity;
      if (parent <= item) break;
      items[at] = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const [least] = items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return least;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if ((items[child + 1] ?? Infinity) < (items[child] ?? Infinity)) child++;
      const value = items[child] ?? Infinity;
      if (value >= last) break;
      items[at] = value;
      at = child;
    }
    items[at] = last;
    return least;
  }
}
