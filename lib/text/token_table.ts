/**
 * A vocabulary in three arrays, which pass between threads without a copy and leave nothing for the
 * garbage collector: objects of as many strings take twenty times the memory.
 */
import { spell } from './byte_level.js';

export interface TokenTable {
  /** Bytes of all tokens, one behind the other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where the bytes of a token start, by id; those of the next id end them. */
  readonly offsets: Uint32Array<ArrayBuffer>;
  /**
   * Open hash of bytes to ids: a token stands, as its id plus 1, in the first slot that was free
   * from its hash on. The number of slots is a power of 2.
   */
  readonly slots: Uint32Array<ArrayBuffer>;
}

/** FNV-1a, 32 bits. */
function hash(bytes: Uint8Array, start: number, end: number): number {
  let value = 0x811c9dc5;
  for (let i = start; i < end; i++) value = Math.imul(value ^ (bytes[i] ?? 0), 0x01000193);
  return value >>> 0;
}

/** Tokens as a vocabulary's file has them, in the byte-level alphabet. */
export interface Pieces {
  /** UTF-8. */
  readonly text: Uint8Array;
  /** Where each token begins and ends in it, by id; both 0 for ids that have none. */
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

/** @param found which ids `findToken` may give; of equals it gives the first. */
export function buildTokenTable(
  { text, starts, ends }: Pieces,
  found: (id: number) => boolean,
): TokenTable {
  const count = starts.length;
  const offsets = new Uint32Array(count + 1);
  let most = 0;
  for (let id = 0; id < count; id++) most += (ends[id] ?? 0) - (starts[id] ?? 0);
  const space = new Uint8Array(most);
  let size = 0;
  for (let id = 0; id < count; id++) {
    size = spell(text, starts[id] ?? 0, ends[id] ?? 0, space, size);
    offsets[id + 1] = size;
  }
  const bytes = space.slice(0, size);
  // At most half full.
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * count + 2)));
  const table: TokenTable = { bytes, offsets, slots };
  for (let id = 0; id < count; id++) {
    const start = offsets[id] ?? 0;
    const end = offsets[id + 1] ?? 0;
    if (start === end || !found(id)) continue;
    const slot = slotOf(table, bytes, start, end);
    slots[slot] ||= id + 1;
  }
  return table;
}

/** The slot of the token spelled by these bytes, or the free one where it would stand. */
function slotOf(table: TokenTable, bytes: Uint8Array, start: number, end: number): number {
  const { slots, offsets } = table;
  const mask = slots.length - 1;
  for (let slot = hash(bytes, start, end) & mask; ; slot = (slot + 1) & mask) {
    const id = (slots[slot] ?? 0) - 1;
    if (id < 0) return slot;
    const at = offsets[id] ?? 0;
    if ((offsets[id + 1] ?? 0) - at !== end - start) continue;
    let same = 0;
    while (same < end - start && table.bytes[at + same] === bytes[start + same]) same++;
    if (same === end - start) return slot;
  }
}

/** Id of the token spelled by `bytes` from `start` to `end`, or -1. */
export function findToken(
  table: TokenTable,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  return (table.slots[slotOf(table, bytes, start, end)] ?? 0) - 1;
}

/** Bytes that a token spells: none for an id that is not in the table. */
export function tokenBytes(table: TokenTable, id: number): Uint8Array {
  return table.bytes.subarray(table.offsets[id] ?? 0, table.offsets[id + 1] ?? 0);
}
