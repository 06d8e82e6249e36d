/** Jobs through everything that a network and a platform can do to a worker, from a fixed seed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Handler } from '../../../src/runpod/index.js';
import type { WorkerCall } from '../../../src/server/platform.js';
import { endpointOf, recordingPlatform, settled, startWorker } from './support.js';

const JOBS = 300;
const SEED = 20_261_122;

/** Mulberry32 (Tommy Ettinger, public domain): the same faults in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Kind = 'value' | 'throws' | 'stream' | 'cancelled';

function kindOf(n: number): Kind {
  if (n % 15 === 7) return 'cancelled';
  if (n % 10 === 3) return 'throws';
  return n % 10 === 8 ? 'stream' : 'value';
}

const handler: Handler = async (job, { signal, progress }) => {
  const n = Number(job.input);
  progress({ n });
  // Long enough for the cancellation to find it at work.
  await delay(kindOf(n) === 'cancelled' ? 20_000 : (n * 7) % 40, undefined, { signal });
  if (kindOf(n) === 'throws') throw new Error(`wrong ${n}`);
  return kindOf(n) === 'stream' ? chunks(n) : { square: n ** 2 };
};

async function* chunks(n: number): AsyncGenerator<string> {
  for (const part of ['a', 'b', 'c']) {
    await delay(1);
    yield `${part}${n}`;
  }
}

test(`${JOBS} jobs at 16 at once end once each, and right, through faults of every kind`, async (context) => {
  const random = generator(SEED);
  const injected = new Map<string, number>();
  const count = (fault: string): void => void injected.set(fault, (injected.get(fault) ?? 0) + 1);
  const inputs = new Map<string, number>();
  const ended = new Set<string>();
  const pick = (ids: Iterable<string>): string | undefined => {
    const all = [...ids];
    return all[Math.floor(random() * all.length)];
  };

  const fault = async (call: WorkerCall): Promise<Response | undefined> => {
    const draw = random();
    if (draw < 0.08) {
      count(`${call.kind}: 500`);
      return new Response('broken', { status: draw < 0.04 ? 500 : 503 });
    }
    if (draw < 0.13) {
      count(`${call.kind}: dropped`);
      call.drop();
      return new Response(null);
    }
    if (draw < 0.16) {
      count(`${call.kind}: stalled`);
      await delay(1000);
    }
    // A chunk has no number: that one was taken although the answer is lost cannot be known.
    if (draw > 0.95 && call.kind === 'job-done') {
      count('job-done: dropped after it was heard');
      call.drop();
      return undefined;
    }
    if (draw > 0.9 && call.kind === 'job-take') {
      const id = pick(inputs.keys());
      if (id === undefined) return undefined;
      count(ended.has(id) ? 'delivered again after its end' : 'delivered out of turn or twice');
      return Response.json([{ id, input: inputs.get(id) }]);
    }
    if (draw > 0.6 && call.kind === 'job-stop') {
      count('stop of ended or unknown jobs');
      return Response.json({ jobsToStop: ['unknown', pick(ended) ?? 'never-was', 7] });
    }
    return undefined;
  };

  const { platform, posted } = await recordingPlatform({ holdMs: 300 }, fault);
  const worker = startWorker(platform, { handler, concurrency: 16, aggregateStream: true });
  const endpoint = endpointOf(platform);
  const results = await Promise.all(
    Array.from({ length: JOBS }, async (_, n) => {
      const { id } = await endpoint.run({ input: n }, 20_000);
      inputs.set(id, n);
      const streamed: unknown[] = [];
      if (kindOf(n) === 'stream') {
        for await (const { output } of endpoint.stream(id)) streamed.push(output);
      }
      if (kindOf(n) === 'cancelled') {
        await delay((n * 13) % 700);
        await endpoint.cancel(id, 20_000);
      }
      const status = await settled(endpoint, id);
      ended.add(id);
      return { n, id, status, streamed };
    }),
  );

  for (const { n, status, streamed } of results) {
    const { output, error = '' } = status;
    switch (kindOf(n)) {
      case 'value':
        assert.deepEqual([status.status, output], ['COMPLETED', { square: n ** 2 }], error);
        break;
      case 'throws':
        assert.equal(status.status, 'FAILED');
        assert.match(error, new RegExp(`"wrong ${n}"`));
        break;
      case 'stream':
        assert.deepEqual(
          [status.status, output],
          ['COMPLETED', [`a${n}`, `b${n}`, `c${n}`]],
          error,
        );
        assert.deepEqual(streamed, output);
        break;
      case 'cancelled':
        assert.equal(status.status, 'CANCELLED');
    }
  }
  // The totals count each end: nothing ended twice, and nothing is left.
  const { jobs } = await endpoint.health();
  const wanted = (kind: Kind): number => results.filter(({ n }) => kindOf(n) === kind).length;
  assert.equal(jobs.completed, wanted('value') + wanted('stream'));
  assert.equal(jobs.failed, wanted('throws'));
  assert.deepEqual([jobs.inProgress, jobs.inQueue], [0, 0]);

  await worker.stop();
  await platform.close();
  for (const { id, n } of results) {
    if (kindOf(n) !== 'cancelled') continue;
    const dones = posted.filter(
      ({ kind, jobId, body }) =>
        kind === 'job-done' && jobId === id && !body.includes('IN_PROGRESS'),
    );
    assert.equal(dones.length, 0, 'a stopped job posts nothing');
  }
  for (const [name, times] of [...injected].sort()) context.diagnostic(`${name}: ${times}`);
  for (const name of ['job-done: 500', 'job-done: dropped', 'job-take: 500', 'job-take: dropped']) {
    assert.ok((injected.get(name) ?? 0) > 0, `no fault of the kind "${name}"`);
  }
});
