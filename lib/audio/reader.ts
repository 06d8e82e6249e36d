/** Sequential reading of encoded audio, from a file or from memory, in pieces. */
import { open } from 'node:fs/promises';

export interface ByteReader {
  /** Bytes in all. */
  readonly size: number;
  /**
   * The next `length` bytes, or fewer at the end. The view may be overwritten by the next read.
   */
  read(length: number): Promise<Uint8Array>;
  /** Moves on by `length` bytes without reading them. */
  skip(length: number): void;
  readonly position: number;
  close(): Promise<void>;
}

export function memoryReader(bytes: Uint8Array): ByteReader {
  let position = 0;
  return {
    size: bytes.length,
    get position() {
      return position;
    },
    read(length) {
      const piece = bytes.subarray(position, position + length);
      position += piece.length;
      return Promise.resolve(piece);
    },
    skip(length) {
      position = Math.min(bytes.length, position + length);
    },
    close: () => Promise.resolve(),
  };
}

export async function fileReader(path: string): Promise<ByteReader> {
  const handle = await open(path, 'r');
  const { size } = await handle.stat();
  let position = 0;
  let buffer = new Uint8Array(0);
  return {
    size,
    get position() {
      return position;
    },
    async read(length) {
      if (buffer.length < length) buffer = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(buffer, filled, length - filled, position);
        if (bytesRead === 0) break;
        filled += bytesRead;
        position += bytesRead;
      }
      return buffer.subarray(0, filled);
    },
    skip(length) {
      position += length;
    },
    close: () => handle.close(),
  };
}
