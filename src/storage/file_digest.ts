/** Digests of a file that is being written or read, computed on a thread of their own. */
import { Worker } from 'node:worker_threads';
import { compiledFile } from '../../lib/package_root.js';

/** Told to the thread: take in these bytes of the file, or (without) say the digest. */
export interface DigestOrder {
  offset: number;
  length: number;
}

export type DigestReply = { crc32: number } | { sha256: string } | { error: Error };

/** Takes in the file's bytes in the order in which it is told of them. */
export class FileDigest {
  readonly #thread: Worker;
  readonly #waiting: { resolve: (reply: DigestReply) => void; reject: (error: unknown) => void }[] =
    [];

  constructor(path: string) {
    this.#thread = new Worker(compiledFile(import.meta.url, 'src/storage/file_digest_thread.js'), {
      workerData: { digestOf: path },
      name: 'voxpod-digest',
      // Those of a program given by --eval are none that a thread can have.
      execArgv: [],
    });
    this.#thread.on('message', (reply: DigestReply) => {
      const next = this.#waiting.shift();
      if ('error' in reply) next?.reject(reply.error);
      else next?.resolve(reply);
    });
    const end = (error: unknown): void => {
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    };
    this.#thread.on('error', end);
    this.#thread.on('exit', () => end(new Error('the thread ended')));
  }

  /** Takes in more. Resolves with the CRC32 of these bytes alone. */
  async add(offset: number, length: number): Promise<number> {
    const reply = await this.#ask({ offset, length });
    return 'crc32' in reply ? reply.crc32 : 0;
  }

  /** The SHA-256 of all that was taken in, in hexadecimal digits. */
  async sha256(): Promise<string> {
    const reply = await this.#ask(undefined);
    return 'sha256' in reply ? reply.sha256 : '';
  }

  async close(): Promise<void> {
    await this.#thread.terminate();
  }

  #ask(order: DigestOrder | undefined): Promise<DigestReply> {
    const replied = new Promise<DigestReply>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
    this.#thread.postMessage(order);
    return replied;
  }
}
