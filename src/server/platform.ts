/**
 * A RunPod platform on this machine: the API that clients call (`runpod-sdk` works against it with
 * its `baseUrl`), and the URLs that a worker takes its jobs from. For development and tests: it
 * keeps everything in memory and listens on the loopback interface unless it is told otherwise.
 */
import { createAdaptorServer, type HttpBindings } from '@hono/node-server';
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Hono } from 'hono';
import { clientRoutes } from './client_routes.js';
import { isFinal, statusOf, type StatusReply } from './job.js';
import { JobQueue, type QueueOptions } from './job_queue.js';
import { Webhooks, type WebhookOptions } from './webhook.js';
import { WorkerRegistry, type WorkerCounts } from './worker_registry.js';
import { workerRoutes } from './worker_routes.js';

/** A call of a worker, before the platform acts on it. */
export interface WorkerCall {
  kind: 'job-take' | 'job-stop' | 'job-done' | 'job-stream' | 'ping';
  workerId: string;
  /** Of job-done and job-stream. */
  jobId: string | undefined;
  url: string;
  headers: IncomingHttpHeaders;
  /** Empty where there is none. */
  body: string;
  /** Cuts the connection without an answer. */
  drop(): void;
}

export interface PlatformOptions {
  endpointId?: string;
  /** Address to listen on. Default 127.0.0.1. */
  host?: string;
  /** 0 (default) takes a free port. */
  port?: number;
  /** The key that clients must send; default: any. */
  apiKey?: string;
  /** How long an empty job-take or job-stop is held open. Default 20 s. */
  holdMs?: number;
  /** What workers are told to ping at, and half of the silence after which one counts as lost. */
  pingIntervalMs?: number;
  queue?: Partial<QueueOptions>;
  webhook?: WebhookOptions;
  /** Sees each worker call first; a response it gives is the answer (fault injection, records). */
  onWorkerCall?: (call: WorkerCall) => Response | undefined | Promise<Response | undefined>;
}

/** What the routes share. */
export interface PlatformContext {
  endpointId: string;
  apiKey: string | undefined;
  workerKey: string;
  holdMs: number;
  queue: JobQueue;
  workers: WorkerRegistry;
  webhooks: Webhooks;
  onWorkerCall: PlatformOptions['onWorkerCall'];
}

export type PlatformEnvironment = { Bindings: HttpBindings };

export class LocalPlatform {
  readonly endpointId: string;
  readonly #server: Server;
  readonly #context: PlatformContext;
  readonly #pingIntervalMs: number;
  #address = '';

  /** Listens on `host` and `port`; rejects with the system's error where they are not to be had. */
  static async start(options: PlatformOptions = {}): Promise<LocalPlatform> {
    const platform = new LocalPlatform(options);
    await platform.#listen(options.port ?? 0, options.host ?? '127.0.0.1');
    return platform;
  }

  private constructor(options: PlatformOptions) {
    this.endpointId = options.endpointId ?? 'local';
    this.#pingIntervalMs = options.pingIntervalMs ?? 10_000;
    const queue = new JobQueue({
      executionTimeoutMs: 600_000,
      ttlMs: 24 * 3600_000,
      retentionMs: 30 * 60_000,
      syncRetentionMs: 60_000,
      ...options.queue,
    });
    this.#context = {
      endpointId: this.endpointId,
      apiKey: options.apiKey,
      workerKey: randomUUID(),
      holdMs: options.holdMs ?? 20_000,
      queue,
      workers: new WorkerRegistry(queue, this.#pingIntervalMs * 2),
      webhooks: new Webhooks(options.webhook),
      onWorkerCall: options.onWorkerCall,
    };
    const app = new Hono<PlatformEnvironment>();
    app.route('/v2/:endpoint', workerRoutes(this.#context));
    app.route('/v2/:endpoint', clientRoutes(this.#context));
    app.notFound((context) => context.json({ error: 'not found' }, 404));
    app.onError((error, context) => context.json({ error: error.message }, 500));
    const server = createAdaptorServer({ fetch: app.fetch });
    if (!('closeAllConnections' in server)) throw new Error('expected an HTTP/1 server');
    this.#server = server;
  }

  /** What `runpod-sdk` takes as `baseUrl`. */
  get baseUrl(): string {
    return `http://${this.#address}/v2`;
  }

  /** The workers that are alive. */
  get workers(): WorkerCounts {
    return this.#context.workers.counts();
  }

  /** Runs a job as /runsync does, without HTTP, and resolves when it has ended. */
  async run(input: unknown): Promise<StatusReply> {
    const { queue } = this.#context;
    const job = queue.submit({ input }, {}, true);
    const never = new AbortController().signal;
    while (!(await queue.until(job, () => isFinal(job), 60_000, never)));
    return statusOf(job);
  }

  /** Tells that a worker's process has ended: its jobs need not wait until its silence is noticed. */
  workerEnded(workerId: string): void {
    this.#context.workers.lost(workerId);
  }

  /** The variables that RunPod gives a worker. */
  environment(workerId: string): Record<string, string> {
    const url = `${this.baseUrl}/${this.endpointId}`;
    const gpu = 'gpu=$RUNPOD_GPU_TYPE_ID';
    return {
      RUNPOD_WEBHOOK_GET_JOB: `${url}/job-take/$RUNPOD_POD_ID?${gpu}`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${url}/job-done/$RUNPOD_POD_ID/$ID?${gpu}`,
      RUNPOD_WEBHOOK_POST_STREAM: `${url}/job-stream/$RUNPOD_POD_ID/$ID?${gpu}`,
      RUNPOD_WEBHOOK_PING: `${url}/ping/$RUNPOD_POD_ID?${gpu}`,
      RUNPOD_PING_INTERVAL: String(this.#pingIntervalMs),
      RUNPOD_AI_API_KEY: this.#context.workerKey,
      RUNPOD_POD_ID: workerId,
      RUNPOD_POD_HOSTNAME: `${workerId}.local`,
      RUNPOD_ENDPOINT_ID: this.endpointId,
      RUNPOD_GPU_TYPE_ID: 'local CPU',
    };
  }

  /** Cuts all connections and forgets all jobs. */
  async close(): Promise<void> {
    this.#context.workers.close();
    this.#context.queue.close();
    this.#context.webhooks.close();
    await new Promise<void>((resolve, reject) => {
      this.#server.close((error) => (error ? reject(error) : resolve()));
      this.#server.closeAllConnections();
    });
  }

  #listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        const address = this.#server.address();
        if (address !== null && typeof address === 'object') this.#address = reachable(address);
        this.#server.off('error', reject);
        resolve();
      });
    });
  }
}

/** "127.0.0.1:8000"; where all addresses are listened on, the loopback one is as good as any. */
function reachable({ address, family, port }: AddressInfo): string {
  if (address === '0.0.0.0' || address === '::') return `127.0.0.1:${port}`;
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}
