/** Jobs through everything that a network and a platform can do to a worker, from a fixed seed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Handler } from '../../../src/runpod/index.js';
import type { WorkerCall } from '../../../src/server/platform.js';
import { endpointOf, recordingPlatform, settled, startWorker, type JobStatus } from './support.js';

const JOBS = 1000;
const SEED = Number(process.env['VOXPOD_TEST_SEED'] ?? 20_261_122);
const STALL_MS = 30_000;

/** Mulberry32 (Tommy Ettinger, public domain): the same draws in every run. */
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
  if (n % 25 === 7) return 'cancelled';
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

/** What happens to a worker's calls, and how often it did. */
class Faults {
  readonly injected = new Map<string, number>();
  /** Jobs that a worker was given, and their inputs. */
  readonly delivered = new Map<string, unknown>();
  readonly ended = new Set<string>();
  readonly #random = generator(SEED);
  /** Half a minute is long, and a stalled take holds the whole worker up: so many of each. */
  readonly #stalls: Record<string, number> = {
    'job-take': 1,
    'job-done': 8,
    'job-stream': 4,
    'job-stop': 1,
  };

  async inject(
    call: WorkerCall,
    inputs: ReadonlyMap<string, number>,
  ): Promise<Response | undefined> {
    const { kind, jobId } = call;
    if (jobId !== undefined) this.delivered.set(jobId, inputs.get(jobId));
    const draw = this.#random();
    if (draw < 0.08) {
      this.#count(`${kind}: 500`);
      return new Response('broken', { status: draw < 0.04 ? 500 : 503 });
    }
    if (draw < 0.13) {
      this.#count(`${kind}: dropped`);
      call.drop();
      return new Response(null);
    }
    if (draw < 0.2 && (this.#stalls[kind] ?? 0) > 0) {
      this.#stalls[kind] = (this.#stalls[kind] ?? 0) - 1;
      this.#count(`${kind}: stalled`);
      await delay(STALL_MS);
      return undefined;
    }
    // Not for chunks: these have no number, so that one posted twice is seen twice.
    if (draw > 0.95 && kind === 'job-done') {
      this.#count('job-done: heard, but the answer was lost');
      call.drop();
      return undefined;
    }
    if (draw > 0.85 && kind === 'job-take') {
      const id = this.#pick(this.delivered.keys());
      if (id === undefined) return undefined;
      this.#count(`delivered again ${this.ended.has(id) ? 'after its end' : 'while it runs'}`);
      return Response.json([{ id, input: this.delivered.get(id) }]);
    }
    if (draw > 0.6 && kind === 'job-stop') {
      this.#count('stop of ended or unknown jobs');
      return Response.json({
        jobsToStop: ['unknown', this.#pick(this.ended) ?? 'never-was', 7],
      });
    }
    return undefined;
  }

  #count(fault: string): void {
    this.injected.set(fault, (this.injected.get(fault) ?? 0) + 1);
  }

  #pick(ids: Iterable<string>): string | undefined {
    const all = [...ids];
    return all[Math.floor(this.#random() * all.length)];
  }
}

interface Outcome {
  n: number;
  id: string;
  status: JobStatus;
  streamed: unknown[];
}

function check({ n, status, streamed }: Outcome): void {
  const { output, error } = status;
  switch (kindOf(n)) {
    case 'value':
      assert.deepEqual([status.status, output], ['COMPLETED', { square: n ** 2 }], error);
      break;
    case 'throws':
      assert.equal(status.status, 'FAILED');
      assert.match(error ?? '', new RegExp(`"wrong ${n}"`));
      break;
    case 'stream':
      assert.deepEqual([status.status, output], ['COMPLETED', [`a${n}`, `b${n}`, `c${n}`]], error);
      assert.deepEqual(streamed, output);
      break;
    case 'cancelled':
      assert.equal(status.status, 'CANCELLED');
  }
}

test(`${JOBS} jobs at 16 at once end once each, and right, through faults of every kind`, async (context) => {
  const faults = new Faults();
  const inputs = new Map<string, number>();
  const { platform, posted } = await recordingPlatform(
    { holdMs: 300, pingIntervalMs: 5000 },
    (call) => faults.inject(call, inputs),
  );
  context.after(() => platform.close());
  const worker = startWorker(platform, {
    handler,
    concurrency: 16,
    aggregateStream: true,
    retry: { firstMs: 20, maxMs: 200, totalMs: 60_000 },
  });
  context.after(() => worker.stop());
  const endpoint = endpointOf(platform);
  const outcome = async (n: number): Promise<Outcome> => {
    const { id } = await endpoint.run({ input: n }, 60_000);
    inputs.set(id, n);
    const streamed: unknown[] = [];
    if (kindOf(n) === 'stream') {
      for await (const { output } of endpoint.stream(id)) streamed.push(output);
    }
    if (kindOf(n) === 'cancelled') {
      await delay((n * 13) % 1500);
      await endpoint.cancel(id, 60_000);
    }
    const status = await settled(endpoint, id);
    faults.ended.add(id);
    return { n, id, status, streamed };
  };
  // A few at a time: the client's calls share this thread with everything else.
  const outcomes: Outcome[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < JOBS) outcomes.push(await outcome(next++));
  };
  await Promise.all(Array.from({ length: 48 }, client));

  for (const one of outcomes) check(one);
  // The totals count each end: nothing ended twice, and nothing is left.
  const { jobs } = await endpoint.health(20_000);
  const wanted = (kind: Kind): number => outcomes.filter(({ n }) => kindOf(n) === kind).length;
  assert.equal(outcomes.length, JOBS);
  assert.equal(jobs.completed, wanted('value') + wanted('stream'));
  assert.equal(jobs.failed, wanted('throws'));
  assert.deepEqual([jobs.inProgress, jobs.inQueue], [0, 0]);

  await worker.stop();
  // Nothing was computed for another job: each result is the one of its own input.
  for (const { kind, jobId = '', body } of posted) {
    if (kind !== 'job-done' || !body.startsWith('{"output":{"square"')) continue;
    assert.equal(body, `{"output":{"square":${(inputs.get(jobId) ?? NaN) ** 2}}}`);
  }
  for (const [name, times] of [...faults.injected].sort()) context.diagnostic(`${name}: ${times}`);
  const kinds = ['500', 'dropped', 'stalled'].flatMap((fault) =>
    ['job-take', 'job-done', 'job-stream'].map((call) => `${call}: ${fault}`),
  );
  const rare = ['after its end', 'while it runs'].map((when) => `delivered again ${when}`);
  for (const name of [...kinds, ...rare, 'stop of ended or unknown jobs']) {
    assert.ok((faults.injected.get(name) ?? 0) > 0, `no fault of the kind "${name}"`);
  }
});
