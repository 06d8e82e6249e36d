// The measure of speed: plain ranges over HTTP, in parallel, written to the disk and synced. Nothing
// is checked.
import { open } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { measure } from './s3_measure.mjs';

const [url, size, path] = [process.argv[2], Number(process.argv[3]), process.argv[4]];
const PART = 8 * 2 ** 20;
const CONNECTIONS = Number(process.argv[5] ?? 32);
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

function request(from, to) {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { range: `bytes=${from}-${to}` } }, resolve).on('error', reject);
  });
}

async function fetchPart(file, from, to) {
  let position = from;
  let waiting = [];
  let bytes = 0;
  // A megabyte at a time: a write for each 64 kB that Node hands over takes twice as long.
  const flush = async () => {
    await file.writev(waiting, position);
    position += bytes;
    waiting = [];
    bytes = 0;
  };
  for await (const chunk of await request(from, to)) {
    waiting.push(chunk);
    bytes += chunk.length;
    if (bytes >= 2 ** 20) await flush();
  }
  if (bytes > 0) await flush();
}

await measure(async () => {
  const file = await open(path, 'w');
  await file.truncate(size);
  let next = 0;
  const lane = async () => {
    while (next < size) {
      const from = next;
      next += PART;
      await fetchPart(file, from, Math.min(size, from + PART) - 1);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  await file.sync();
  await file.close();
});
agent.destroy();
