/** A job as the local platform keeps it, and as clients and workers see it. */

export const FINAL_STATES = ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT'] as const;
export type FinalState = (typeof FINAL_STATES)[number];
export type JobState = 'IN_QUEUE' | 'IN_PROGRESS' | FinalState;

export interface JobPolicy {
  /** Milliseconds a job may run. */
  executionTimeout?: number | undefined;
  /** Behind all jobs of normal priority. */
  lowPriority?: boolean | undefined;
  /** Milliseconds after which the job is deleted, whatever it does. */
  ttl?: number | undefined;
}

export interface StoredJob {
  readonly id: string;
  /** What the client sent beside the policy: `input`, `webhook`, ... */
  readonly request: Record<string, unknown>;
  readonly policy: JobPolicy;
  readonly sync: boolean;
  state: JobState;
  createdAt: number;
  startedAt: number | undefined;
  finishedAt: number | undefined;
  workerId: string | undefined;
  /** Workers that died with it. */
  losses: number;
  output: unknown;
  error: string | undefined;
  /** Chunks that no client has fetched yet. */
  chunks: unknown[];
  /** Called at every change, for those who wait for one. */
  watchers: Set<() => void>;
  /** Of the expiry and, while it runs, of the execution timeout. */
  timers: Set<NodeJS.Timeout>;
}

export function isFinal(job: StoredJob): boolean {
  return FINAL_STATES.some((state) => state === job.state);
}

/** Delays in milliseconds, as RunPod's status call gives them. */
export interface StatusReply {
  id: string;
  status: JobState;
  delayTime?: number;
  executionTime?: number;
  workerId?: string;
  output?: unknown;
  error?: string;
}

export function statusOf(job: StoredJob): StatusReply {
  const started = job.startedAt;
  return {
    id: job.id,
    status: job.state,
    ...(started === undefined ? {} : { delayTime: started - job.createdAt }),
    ...(started === undefined || job.finishedAt === undefined
      ? {}
      : { executionTime: job.finishedAt - started }),
    ...(job.workerId === undefined ? {} : { workerId: job.workerId }),
    ...(job.output === undefined ? {} : { output: job.output }),
    ...(job.error === undefined ? {} : { error: job.error }),
  };
}
