/** Reads entries of a zip archive (a Python wheel is one) as streams. */
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import yauzl from 'yauzl';

export interface ZipEntry {
  /** Path inside the archive, with forward slashes; checked not to leave it. */
  name: string;
  /** Bytes when unpacked. */
  size: number;
  /** The unpacked bytes; fails where they are not `size` many. */
  open(): Promise<Readable>;
}

/** Calls `visit` for each file of the archive in turn, and waits for it. */
export async function forEachZipEntry(
  path: string,
  visit: (entry: ZipEntry) => Promise<void>,
): Promise<void> {
  const archive = await new Promise<yauzl.ZipFile>((resolve, reject) => {
    yauzl.open(path, { lazyEntries: true, autoClose: false }, (error, opened) =>
      error ? reject(error) : resolve(opened),
    );
  });
  const openEntry = promisify<yauzl.Entry, Readable>((entry, done) =>
    archive.openReadStream(entry, (error, stream) => done(error, stream)),
  );
  try {
    await new Promise<void>((resolve, reject) => {
      archive.on('error', reject);
      archive.on('end', resolve);
      archive.on('entry', (entry: yauzl.Entry) => {
        if (entry.fileName.endsWith('/')) return archive.readEntry();
        visit({
          name: entry.fileName,
          size: entry.uncompressedSize,
          open: () => openEntry(entry),
        }).then(() => archive.readEntry(), reject);
      });
      archive.readEntry();
    });
  } finally {
    archive.close();
  }
}
