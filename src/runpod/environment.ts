/**
 * RunPod describes a worker's world in RUNPOD_* variables. Those of the protocol are read here and
 * nowhere else (log.ts reads those of the log, the checks at the start their own). Its platforms disagree about them (the Hub's test server sends URLs without a query and with
 * other placeholders than production), so every placeholder is honoured in every URL.
 */
import { randomUUID } from 'node:crypto';
import { ArgumentError } from '../../lib/errors.js';

export interface RunpodEnvironment {
  workerId: string;
  hostname: string;
  endpointId: string | undefined;
  /** Sent as it is in `Authorization`. */
  apiKey: string | undefined;
  pingIntervalMs: number;
  takeUrl: string;
  /** For several jobs at once; undefined where it cannot be derived from the take URL. */
  takeBatchUrl: string | undefined;
  stopUrl: string | undefined;
  pingUrl: string | undefined;
  doneUrl(jobId: string): string;
  /** Undefined where the platform takes no streams. */
  streamUrl: ((jobId: string) => string) | undefined;
}

const DEFAULT_PING_INTERVAL_MS = 10_000;

/**
 * @throws ArgumentError INVALID_ARGUMENT where a needed variable is missing or is no URL.
 */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): RunpodEnvironment {
  const workerId = env['RUNPOD_POD_ID'] || randomUUID();
  const gpu = env['RUNPOD_GPU_TYPE_ID'] ?? '';
  const expand = (name: string, id: string): string | undefined => {
    const template = env[name];
    return template ? expandUrl(name, template, { id, workerId, gpu }) : undefined;
  };
  const take = expand('RUNPOD_WEBHOOK_GET_JOB', workerId);
  if (take === undefined) throw missing('RUNPOD_WEBHOOK_GET_JOB');
  const done = 'RUNPOD_WEBHOOK_POST_OUTPUT';
  const doneTemplate = env[done];
  if (!doneTemplate) throw missing(done);
  expandUrl(done, doneTemplate, { id: 'job', workerId, gpu });
  const stream = 'RUNPOD_WEBHOOK_POST_STREAM';
  const streamTemplate = env[stream];
  if (streamTemplate) expandUrl(stream, streamTemplate, { id: 'job', workerId, gpu });

  const derives = take.includes('/job-take/');
  return {
    workerId,
    hostname: env['RUNPOD_POD_HOSTNAME'] || 'unknown',
    endpointId: env['RUNPOD_ENDPOINT_ID'] || undefined,
    apiKey: env['RUNPOD_AI_API_KEY'] || undefined,
    pingIntervalMs: pingInterval(env['RUNPOD_PING_INTERVAL']),
    takeUrl: take,
    takeBatchUrl: derives ? take.replace('/job-take/', '/job-take-batch/') : undefined,
    stopUrl: derives ? take.replace('/job-take/', '/job-stop/') : undefined,
    pingUrl: expand('RUNPOD_WEBHOOK_PING', workerId),
    doneUrl: (jobId) => expandUrl(done, doneTemplate, { id: jobId, workerId, gpu }),
    streamUrl: streamTemplate
      ? (jobId) => expandUrl(stream, streamTemplate, { id: jobId, workerId, gpu })
      : undefined,
  };
}

/** Whether this is RunPod's container; `voxpod serve` says of its worker that it is not. */
export function isWorker(env: NodeJS.ProcessEnv): boolean {
  if (env['VOXPOD_LOCAL'] === '1') return false;
  return Boolean(env['RUNPOD_POD_ID'] || env['RUNPOD_ENDPOINT_ID']);
}

/** Adds parameters with "?" or "&", whichever the URL needs. */
export function withQuery(url: string, parameters: Record<string, string | number>): string {
  const query = Object.entries(parameters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&');
  if (query === '') return url;
  if (!url.includes('?')) return `${url}?${query}`;
  return url.endsWith('?') || url.endsWith('&') ? url + query : `${url}&${query}`;
}

/** `$ID` is the job's id in the URLs that have a job, the worker's id in the others. */
function expandUrl(
  name: string,
  template: string,
  values: { id: string; workerId: string; gpu: string },
): string {
  const url = template.replace(
    /\$(RUNPOD_POD_ID|RUNPOD_GPU_TYPE_ID|ID)\b/g,
    (_match, placeholder: string) => {
      if (placeholder === 'ID') return encodeURIComponent(values.id);
      return encodeURIComponent(placeholder === 'RUNPOD_POD_ID' ? values.workerId : values.gpu);
    },
  );
  if (!URL.canParse(url) || !/^https?:/.test(url)) {
    throw new ArgumentError(
      'INVALID_ARGUMENT',
      `Expected an http or https URL for ${name} but received ${JSON.stringify(template.slice(0, 200))}`,
    );
  }
  return url;
}

function missing(name: string): ArgumentError {
  return new ArgumentError(
    'INVALID_ARGUMENT',
    `${name} is not set: a worker takes its jobs from RunPod's URLs. Run it as a RunPod serverless worker, or run one job of a file with --test-input FILE`,
  );
}

/** Below a second the platform would be flooded, and a day without a ping is a dead worker. */
function pingInterval(value: string | undefined): number {
  const milliseconds = Number(value);
  if (!value || !Number.isFinite(milliseconds) || milliseconds <= 0) {
    return DEFAULT_PING_INTERVAL_MS;
  }
  return Math.min(Math.max(milliseconds, 1000), 300_000);
}
