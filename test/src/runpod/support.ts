/** A local platform and a worker in this process, for tests. */
import { setTimeout as delay } from 'node:timers/promises';
import runpodSdk from 'runpod-sdk';
import { createLogger, type Logger } from '../../../src/log.js';
import { runWorker, type WorkerOptions } from '../../../src/runpod/index.js';
import {
  LocalPlatform,
  type PlatformOptions,
  type WorkerCall,
} from '../../../src/server/platform.js';

export type Endpoint = NonNullable<ReturnType<ReturnType<typeof runpodSdk>['endpoint']>>;

export const quiet: Logger = createLogger({ env: {}, write: () => undefined });

/** Fast retries, so that a test of faults takes no minutes. */
export const FAST_RETRY = { firstMs: 20, maxMs: 100, totalMs: 10_000 };

/** A job's state and output, whichever of the SDK's types it came in. */
export interface JobStatus {
  id: string;
  status: string;
  output?: unknown;
  error?: string;
  workerId?: string;
  executionTime?: number;
  delayTime?: number;
}

export function endpointOf(platform: LocalPlatform, key = 'test-key'): Endpoint {
  const endpoint = runpodSdk(key, { baseUrl: platform.baseUrl }).endpoint(platform.endpointId);
  if (!endpoint) throw new Error('no endpoint');
  return endpoint;
}

export interface Posted {
  kind: WorkerCall['kind'];
  jobId: string | undefined;
  url: string;
  headers: Headers;
  body: string;
}

/** A platform that records what workers post; `fault` sees each call first. */
export async function recordingPlatform(
  options: PlatformOptions = {},
  fault?: PlatformOptions['onWorkerCall'],
): Promise<{ platform: LocalPlatform; posted: Posted[] }> {
  const posted: Posted[] = [];
  const platform = await LocalPlatform.start({
    holdMs: 2000,
    ...options,
    onWorkerCall: (call) => {
      const { kind, jobId, url, body } = call;
      posted.push({
        kind,
        jobId,
        url,
        headers: new Headers(
          Object.entries(call.headers).map(([name, value]) => [name, String(value)]),
        ),
        body,
      });
      return fault?.(call);
    },
  });
  return { platform, posted };
}

export interface StartedWorker {
  /** Ends the worker and waits for it. */
  stop(): Promise<void>;
  ended: Promise<void>;
  controller: AbortController;
}

export function startWorker(
  platform: LocalPlatform,
  options: WorkerOptions,
  workerId = 'worker-1',
): StartedWorker {
  const controller = new AbortController();
  const ended = runWorker({
    env: platform.environment(workerId),
    handleSignals: false,
    signal: controller.signal,
    log: quiet,
    retry: FAST_RETRY,
    ...options,
  });
  return {
    controller,
    ended,
    stop: async () => {
      controller.abort();
      await ended;
    },
  };
}

/** Waits until something holds. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 5000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await delay(10);
  }
}

/** The job's status once it has ended. */
export async function settled(endpoint: Endpoint, id: string): Promise<JobStatus> {
  for (;;) {
    const status: JobStatus = await endpoint.statusSync(id, 5000);
    if (['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT'].includes(status.status)) return status;
  }
}

/** What was posted to job-done for a job: progress and results. */
export function donesOf(posted: Posted[], jobId: string): Posted[] {
  return posted.filter((call) => call.kind === 'job-done' && call.jobId === jobId);
}

/** The report in a job's error. */
export function errorIn(text: string | undefined): Record<string, string> {
  return JSON.parse(text ?? '') as Record<string, string>;
}
