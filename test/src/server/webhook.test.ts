/** Webhooks of the local platform: posted when a job ends, and again where they are not taken. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { LocalPlatform } from '../../../src/server/platform.js';
import {
  endpointOf,
  eventually,
  settled,
  startWorker,
  type Endpoint,
  type JobStatus,
  type StartedWorker,
} from '../runpod/support.js';

interface Received {
  at: number;
  method: string | undefined;
  type: string | undefined;
  status: JobStatus;
}

const RETRY_MS = 150;
let platform: LocalPlatform;
let endpoint: Endpoint;
let worker: StartedWorker;
let listener: Server;
let url: string;
/** What the listener answers, the last for all that follow; 0 cuts the connection. */
let answers: number[];
let received: Received[];
const failures: string[] = [];

before(async () => {
  listener = createServer((request, response) => {
    void text(request).then((body) => {
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      const { method, headers } = request;
      const status = JSON.parse(body) as JobStatus;
      received.push({ at: performance.now(), method, type: headers['content-type'], status });
      if (answer === 0) request.socket.destroy();
      else response.writeHead(answer ?? 200).end('seen');
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  url = typeof address === 'object' ? `http://127.0.0.1:${address?.port ?? 0}/done?token=x` : '';
  platform = await LocalPlatform.start({
    holdMs: 1000,
    webhook: { retryMs: RETRY_MS, onFailure: (line) => failures.push(line) },
  });
  endpoint = endpointOf(platform);
  worker = startWorker(platform, {
    handler: async (job, { signal }) => {
      const { fail, sleep } = job.input as { fail?: string; sleep?: number };
      if (sleep !== undefined) await delay(sleep, undefined, { signal });
      if (fail !== undefined) throw new Error(fail);
      return { echo: job.input };
    },
  });
});

beforeEach(() => {
  answers = [200];
  received = [];
});

after(async () => {
  await worker.stop();
  await platform.close();
  listener.closeAllConnections();
  listener.close();
});

async function arrived(count: number): Promise<Received[]> {
  await eventually(`${count} webhooks`, () => received.length >= count, 20_000);
  return received;
}

test('the final status is posted, once, as /status gives it', async () => {
  const { id } = await endpoint.run({ input: { a: 'ü' }, webhook: url });
  const [first] = await arrived(1);
  assert.deepEqual([first?.method, first?.type], ['POST', 'application/json']);
  const { status, output } = first?.status ?? {};
  assert.deepEqual([first?.status.id, status, output], [id, 'COMPLETED', { echo: { a: 'ü' } }]);
  const asked = (await fetchStatus(id)) as JobStatus;
  assert.deepEqual(first?.status, asked);
  await delay(RETRY_MS * 3);
  assert.equal(received.length, 1);
});

test('failed and cancelled jobs are told too; a synchronous job as well', async () => {
  await endpoint.run({ input: { fail: 'no such voice' }, webhook: url });
  const [failed] = await arrived(1);
  assert.equal(failed?.status.status, 'FAILED');
  assert.match(failed?.status.error ?? '', /no such voice/);
  const { id } = await endpoint.run({ input: { sleep: 60_000 }, webhook: url });
  await endpoint.cancel(id);
  const [, cancelled] = await arrived(2);
  assert.deepEqual([cancelled?.status.id, cancelled?.status.status], [id, 'CANCELLED']);
  await endpoint.runSync({ input: 1, webhook: url });
  assert.equal((await arrived(3))[2]?.status.status, 'COMPLETED');
});

test('anything but 200 is tried two more times, with a wait between', async () => {
  answers = [503, 0, 200];
  await endpoint.run({ input: 1, webhook: url });
  const [first, second, third] = await arrived(3);
  assert.ok((second?.at ?? 0) - (first?.at ?? 0) >= RETRY_MS - 10);
  assert.deepEqual(third?.status, first?.status);
  await delay(RETRY_MS * 3);
  assert.equal(received.length, 3);
  assert.deepEqual(failures, []);
});

test('it gives up after three attempts and says so, without the link', async () => {
  // Only 200 will do.
  answers = [204];
  const { id } = await endpoint.run({ input: 1, webhook: url });
  await arrived(3);
  await eventually('it is told', () => failures.length > 0);
  assert.match(failures.pop() ?? '', new RegExp(`job ${id} at http://127.0.0.1:\\d+ .*HTTP 204`));
  await delay(RETRY_MS * 3);
  assert.equal(received.length, 3);
});

test('a job that is retried is told again when it ends again', async () => {
  const { id } = await endpoint.run({ input: { fail: 'once' }, webhook: url });
  await arrived(1);
  const headers = { Authorization: 'Bearer key' };
  const retried = await fetch(`${platform.baseUrl}/local/retry/${id}`, { method: 'POST', headers });
  assert.equal(retried.status, 200);
  const [, second] = await arrived(2);
  assert.deepEqual([second?.status.id, second?.status.status], [id, 'FAILED']);
  await settled(endpoint, id);
});

test('a webhook that is no http URL is refused with the request', async () => {
  for (const webhook of ['not a url', 'file:///etc/passwd', 7]) {
    const response = await fetch(`${platform.baseUrl}/local/run`, {
      method: 'POST',
      headers: { Authorization: 'Bearer key', 'Content-Type': 'application/json' },
      body: JSON.stringify({ input: 1, webhook }),
    });
    assert.equal(response.status, 400);
    assert.match(await response.text(), /webhook/);
  }
});

/** Without what runpod-sdk adds. */
async function fetchStatus(id: string): Promise<unknown> {
  const headers = { Authorization: 'Bearer key' };
  return (await fetch(`${platform.baseUrl}/local/status/${id}`, { headers })).json();
}
