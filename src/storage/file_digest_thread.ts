/** Body of the thread of FileDigest. */
import { createHash } from 'node:crypto';
import { openSync, readSync } from 'node:fs';
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { crc32 } from 'node:zlib';
import type { DigestOrder, DigestReply } from './file_digest.js';

/** Small enough to be hashed while the processor's cache still holds what was read. */
const STEP = 64 * 1024;

function run(path: string, port: MessagePort): void {
  const file = openSync(path, 'r');
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafeSlow(STEP);
  const add = ({ offset, length }: DigestOrder): DigestReply => {
    let crc = 0;
    for (let done = 0; done < length;) {
      const bytes = readSync(file, buffer, 0, Math.min(STEP, length - done), offset + done);
      if (bytes === 0) throw new Error(`${path} ends at byte ${offset + done}`);
      const piece = buffer.subarray(0, bytes);
      hash.update(piece);
      crc = crc32(piece, crc);
      done += bytes;
    }
    return { crc32: crc };
  };
  port.on('message', (order: DigestOrder | undefined) => {
    let reply: DigestReply;
    try {
      reply = order === undefined ? { sha256: hash.copy().digest('hex') } : add(order);
    } catch (error) {
      reply = { error: error instanceof Error ? error : new Error(String(error)) };
    }
    port.postMessage(reply);
  });
}

if (parentPort && typeof workerData === 'object' && workerData !== null) {
  const path: unknown = Reflect.get(workerData, 'digestOf');
  if (typeof path === 'string') run(path, parentPort);
}
