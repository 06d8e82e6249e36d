/**
 * A file that comes in parts, in any order: allocated at once, each part noted beside it when it is
 * there, so that whoever comes after a kill goes on with what is missing.
 */
import { createHash } from 'node:crypto';
import { write } from 'node:fs';
import { readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { DownloadError } from '../../lib/errors.js';
import type { ArtifactPart } from './artifact.js';
import { FileDigest } from './file_digest.js';
import { openForUpdate } from './paths.js';

export interface PartFileFacts {
  /** Where it is put when it is whole. A file that is there already may be a beginning of it. */
  destination: string;
  size: number;
  sha256: string;
  parts: readonly ArtifactPart[];
}

const MISSING = 0;
const THERE = 1;
/** Up to this many bytes are hashed at once; more by a thread, which takes a while to start. */
const SMALL = 1 << 20;

export class PartFile {
  readonly #facts: PartFileFacts;
  readonly #handle: FileHandle;
  /** One byte for each part. */
  readonly #notes: FileHandle;
  readonly #state: Uint8Array;
  #digest: FileDigest | undefined;
  /** Parts that were given to the digest, which takes them in order. */
  #digested = 0;
  #digestFailure: unknown;

  private constructor(
    facts: PartFileFacts,
    handle: FileHandle,
    notes: FileHandle,
    state: Uint8Array,
  ) {
    this.#facts = facts;
    this.#handle = handle;
    this.#notes = notes;
    this.#state = state;
    this.#startDigest();
  }

  /**
   * Opens it with what an earlier download left; undefined where `destination` is there, whole and
   * right.
   */
  static async open(facts: PartFileFacts): Promise<PartFile | undefined> {
    const { destination, size, parts } = facts;
    const path = besides(destination);
    const beginning = await stat(destination).catch(() => undefined);
    // Left by another source's download, or finished before a kill.
    const adopt = beginning?.isFile() === true && beginning.size <= size;
    if (adopt) {
      await rm(notesOf(destination), { force: true });
      await rename(destination, path);
    }
    const handle = await openForUpdate(path);
    const notes = await openForUpdate(notesOf(destination));
    let state: Uint8Array = new Uint8Array(parts.length);
    const length = (await handle.stat()).size;
    const noted = (await notes.stat()).size;
    if (adopt) state = await checkBeginning(path, parts, length);
    else if (noted === parts.length && length === size) await notes.read(state, 0, noted, 0);
    // Fails here, not after gigabytes, where a limit on the size of files is in the way.
    await handle.truncate(size);
    await notes.truncate(0);
    await notes.write(state, 0, state.length, 0);
    const file = new PartFile(facts, handle, notes, state);
    if (!adopt || file.missing().length > 0) return file;
    await file.finish();
    return undefined;
  }

  /** Indexes of the parts that are not there. */
  missing(): number[] {
    return [...this.#state.keys()].filter((index) => this.#state[index] !== THERE);
  }

  /** Bytes of the parts that are there. */
  get bytes(): number {
    return this.#facts.parts.reduce(
      (sum, { length }, index) => sum + (this.#state[index] === THERE ? length : 0),
      0,
    );
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += await writeOnce(this.#handle.fd, bytes, done, position + done);
    }
  }

  /** Notes a part that was written and has its checksum. */
  async keep(index: number): Promise<void> {
    this.#state[index] = THERE;
    await this.#notes.write(this.#state, index, 1, index);
    this.#feedDigest();
  }

  /**
   * Puts the whole file to its place, checked and synced. False where its SHA-256 is wrong and some
   * parts must be fetched again: those whose bytes changed on the way to the disk.
   * @throws DownloadError CHECKSUM_MISMATCH where all parts are as they should be.
   */
  async finish(): Promise<boolean> {
    const { destination, sha256, parts } = this.#facts;
    const synced = this.#handle.sync();
    const found = await this.#sha256().finally(() => synced);
    if (found === sha256) {
      await this.close();
      await rename(besides(destination), destination);
      await rm(notesOf(destination), { force: true });
      return true;
    }
    const wrong = await wrongParts(besides(destination), parts);
    for (const index of wrong) {
      this.#state[index] = MISSING;
      await this.#notes.write(this.#state, index, 1, index);
    }
    if (wrong.length > 0) {
      await this.#digest?.close();
      this.#startDigest();
      return false;
    }
    await this.discard();
    throw new DownloadError(
      'CHECKSUM_MISMATCH',
      `it has the SHA-256 ${found} instead of ${sha256}, though each part is as the manifest says`,
    );
  }

  /** Leaves the parts up to the first that is missing as a beginning, for another source to go on. */
  async keepBeginning(): Promise<void> {
    const { destination, parts } = this.#facts;
    const first = parts[this.missing()[0] ?? parts.length - 1];
    const end = first?.offset ?? 0;
    if (end > 0) await this.#handle.truncate(end);
    await this.close();
    if (end > 0) await rename(besides(destination), destination);
    await this.discard();
  }

  async discard(): Promise<void> {
    await this.close();
    await rm(besides(this.#facts.destination), { force: true });
    await rm(notesOf(this.#facts.destination), { force: true });
  }

  /** What is there stays for the next time. */
  async close(): Promise<void> {
    await Promise.all([this.#handle.close(), this.#notes.close(), this.#digest?.close()]);
  }

  async #sha256(): Promise<string> {
    if (this.#digestFailure !== undefined) throw this.#digestFailure;
    if (this.#digest !== undefined) return this.#digest.sha256();
    const content = await readFile(besides(this.#facts.destination));
    return createHash('sha256').update(content).digest('hex');
  }

  #startDigest(): void {
    if (this.#facts.size <= SMALL) return;
    this.#digest = new FileDigest(besides(this.#facts.destination));
    this.#digested = 0;
    this.#digestFailure = undefined;
    this.#feedDigest();
  }

  #feedDigest(): void {
    const { parts } = this.#facts;
    for (let part = parts[this.#digested]; part !== undefined; part = parts[this.#digested]) {
      if (this.#digest === undefined || this.#state[this.#digested] !== THERE) return;
      this.#digested += 1;
      this.#digest.add(part.offset, part.length).catch((error: unknown) => {
        this.#digestFailure ??= error;
      });
    }
  }
}

function besides(destination: string): string {
  return `${destination}.parts`;
}

function notesOf(destination: string): string {
  return `${destination}.noted`;
}

/** Which parts of the first `length` bytes have their checksums. */
async function checkBeginning(
  path: string,
  parts: readonly ArtifactPart[],
  length: number,
): Promise<Uint8Array> {
  const state = new Uint8Array(parts.length);
  const whole = parts.filter((part) => part.offset + part.length <= length);
  const wrong = await wrongParts(path, whole);
  for (const index of whole.keys()) state[index] = wrong.includes(index) ? MISSING : THERE;
  return state;
}

/** Indexes of parts whose bytes in the file have another CRC32. */
async function wrongParts(path: string, parts: readonly ArtifactPart[]): Promise<number[]> {
  const digest = new FileDigest(path);
  try {
    const found = await Promise.all(parts.map(({ offset, length }) => digest.add(offset, length)));
    return [...found.keys()].filter((index) => found[index] !== parts[index]?.crc32);
  } finally {
    await digest.close();
  }
}

function writeOnce(file: number, bytes: Uint8Array, from: number, position: number) {
  return new Promise<number>((resolve, reject) => {
    // The promise-based call costs twice the time of this one.
    write(file, bytes, from, bytes.length - from, position, (error, written) =>
      error ? reject(error) : resolve(written),
    );
  });
}
