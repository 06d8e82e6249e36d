/** Files as torch.save writes them, of whatever pickle a test likes. */
import { crc32 } from 'node:zlib';

/** A zip archive without compression. Layout: PKWARE's APPNOTE.TXT, 4.3. */
function zip(files: readonly (readonly [string, Buffer])[]): Buffer {
  const parts: Buffer[] = [];
  const index: Buffer[] = [];
  let at = 0;
  for (const [name, data] of files) {
    // Sizes and checksum, as both heads have them, and the length of the name.
    const facts = Buffer.alloc(16);
    facts.writeUInt32LE(crc32(data), 0);
    facts.writeUInt32LE(data.length, 4);
    facts.writeUInt32LE(data.length, 8);
    facts.writeUInt16LE(name.length, 12);
    const start = Buffer.alloc(14);
    start.write('PK\x03\x04', 'latin1');
    const entry = Buffer.alloc(16);
    entry.write('PK\x01\x02', 'latin1');
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(at, 10);
    index.push(entry, facts, rest, Buffer.from(name));
    parts.push(start, facts, Buffer.from(name), data);
    at += 30 + name.length + data.length;
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(Buffer.concat(index).length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...parts, ...index, end]);
}

export function torchZip(pickle: Buffer): Buffer {
  return zip([
    ['archive/data.pkl', pickle],
    ['archive/byteorder', Buffer.from('little')],
    ['archive/version', Buffer.from('3\n')],
  ]);
}

/** A pickle, of protocol 2, that has who loads it run a shell's command. */
export function runningPickle(command: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(Buffer.byteLength(command));
  const call = [Buffer.from('X'), length, Buffer.from(command), Buffer.from('\x85R.', 'latin1')];
  return Buffer.concat([Buffer.from('\x80\x02cposix\nsystem\n', 'latin1'), ...call]);
}
