/**
 * Body of the heartbeat's thread: tells the platform on time that the worker lives and which jobs it
 * holds, whatever the main thread is busy with. A ping that fails is tried again until the next is due.
 */
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { parentPort, workerData } from 'node:worker_threads';
import { withQuery } from './environment.js';
import { isHeartbeatSettings, readJobIds, type HeartbeatSettings } from './heartbeat.js';

if (parentPort && isHeartbeatSettings(workerData)) run(workerData, parentPort);

function run(settings: HeartbeatSettings, port: NonNullable<typeof parentPort>): void {
  let due = performance.now();
  const tick = (): void => {
    due += settings.intervalMs;
    // After a freeze (FlashBoot) the missed pings are not made up for.
    if (due < performance.now()) due = performance.now() + settings.intervalMs;
    setTimeout(tick, due - performance.now());
    void ping(settings, due).then((problem) => {
      if (problem !== undefined) port.postMessage(problem);
    });
  };
  tick();
}

/** Resolves to what went wrong with the last attempt, if anything did. */
async function ping(settings: HeartbeatSettings, until: number): Promise<string | undefined> {
  for (let wait = 1000; ; wait *= 2) {
    const problem = await attempt(settings);
    if (problem === undefined || performance.now() + wait >= until) return problem;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function attempt(settings: HeartbeatSettings): Promise<string | undefined> {
  const jobIds = readJobIds(settings.jobIds);
  const url = withQuery(settings.url, {
    ...(jobIds === '' ? {} : { job_id: jobIds }),
    runpod_version: settings.version,
  });
  const get = url.startsWith('https:') ? getHttps : getHttp;
  const headers =
    settings.authorization === undefined ? {} : { Authorization: settings.authorization };
  return new Promise((resolve) => {
    const request = get(url, { headers, timeout: settings.intervalMs * 2 }, (response) => {
      const status = response.statusCode ?? 0;
      response.resume();
      resolve(status === 429 || status >= 500 ? `HTTP ${status}` : undefined);
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', (error) => resolve(error.message));
  });
}
