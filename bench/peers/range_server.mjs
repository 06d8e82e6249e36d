// An S3 server in memory, in a process of its own: one generated object, and uploads that are counted
// and thrown away. Prints its address and the object's manifest.
import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { partsOf } from '../../dist/src/storage/artifact.js';
import { RangeServer } from '../../dist/test/src/storage/range_server.js';

const size = Number(process.argv[2]);
// Repeated; of a length that no part is a multiple of, so that a part in another's place is found.
const block = randomBytes(64 * 2 ** 20 - 13);
const read = (offset, most) => {
  const start = offset % block.length;
  return block.subarray(start, Math.min(block.length, start + most));
};

const hash = createHash('sha256');
const parts = partsOf(size).map((part) => {
  let crc = 0;
  for (let done = 0; done < part.length;) {
    const bytes = read(part.offset + done, part.length - done);
    hash.update(bytes);
    crc = crc32(bytes, crc);
    done += bytes.length;
  }
  return { ...part, crc32: crc };
});
const sha256 = hash.digest('hex');
const commit = 'b'.repeat(40);
const [repository, base] = ['bench/model', 'models/models/models--bench--model'];
const path = 'model.safetensors';
const manifest = { repository, revision: 'main', commit, files: [{ path, size, sha256, parts }] };

const server = new RangeServer({ discard: true });
const url = await server.listen();
server.objects.set(`${base}/blobs/${sha256}`, {
  ...{ size, read, etag: '"0123456789abcdef0123456789abcdef-1"', modified: new Date() },
});
server.put(`${base}/snapshots/${commit}.json`, Buffer.from(JSON.stringify(manifest)));
server.put(`${base}/refs/main`, Buffer.from(commit));
process.send({ url, bucket: 'models', key: `models/models--bench--model/blobs/${sha256}`, sha256 });
process.on('message', ({ megabytesPerSecond }) => {
  server.bytesPerSecond = megabytesPerSecond * 1e6;
  // What one upload stored the next would not store again.
  for (const key of server.objects.keys())
    if (key.includes('bench--upload')) server.objects.delete(key);
  process.send('ready');
});
process.on('disconnect', () => process.exit());
