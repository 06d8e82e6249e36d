/** The client's side of the local platform: RunPod's endpoint API as documented. */
import { Hono, type Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import { isFinal, statusOf, type StoredJob } from './job.js';
import { MAX_RUN_BYTES, MAX_RUNSYNC_BYTES } from './limits.js';
import type { PlatformContext, PlatformEnvironment } from './platform.js';
import { untilClosed } from './waiting.js';

const WEEK_MS = 7 * 24 * 3600_000;

const requestSchema = z.looseObject({
  input: z.unknown().refine((input) => input !== undefined && input !== null, {
    error: 'input is required',
  }),
  policy: z
    .object({
      executionTimeout: z.number().int().min(5000).max(WEEK_MS).optional(),
      ttl: z.number().int().min(10_000).max(WEEK_MS).optional(),
      lowPriority: z.boolean().optional(),
    })
    .optional(),
  webhook: z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }).nullish(),
});

/** What /runsync and /status-sync take as `wait`, in milliseconds. */
const WAIT = { least: 1000, most: 300_000, default: 90_000 };
/** How long /stream waits for the next chunk, so that a client's loop does not spin. */
const STREAM_HOLD_MS = 5000;

type PlatformRequest = Context<PlatformEnvironment>;

export function clientRoutes(platform: PlatformContext): Hono<PlatformEnvironment> {
  const { queue } = platform;
  const app = new Hono<PlatformEnvironment>();

  app.use(async (context, next) => {
    if (context.req.param('endpoint') !== platform.endpointId) {
      return context.json({ error: 'endpoint not found' }, 404);
    }
    // A key is always needed, also because a web page cannot send one here without our consent.
    const header = context.req.header('authorization');
    const key = header?.replace(/^Bearer /, '');
    if (!key || (platform.apiKey !== undefined && key !== platform.apiKey)) {
      return context.json({ error: 'unauthorized' }, 401);
    }
    return next();
  });

  const limit = (maxSize: number) =>
    bodyLimit({
      maxSize,
      onError: (context) =>
        context.json({ error: `the payload is over the limit of ${maxSize} bytes` }, 413),
    });

  const withJob =
    (act: (context: PlatformRequest, job: StoredJob) => Response | Promise<Response>) =>
    (context: PlatformRequest): Response | Promise<Response> => {
      const job = queue.get(context.req.param('job') ?? '');
      return job ? act(context, job) : context.json({ error: 'job not found' }, 404);
    };

  const submit = async (context: PlatformRequest, sync: boolean): Promise<StoredJob | Response> => {
    let body: unknown;
    try {
      body = await context.req.json();
    } catch {
      return context.json({ error: 'the body must be JSON' }, 400);
    }
    const request = requestSchema.safeParse(body);
    if (!request.success) return context.json({ error: z.prettifyError(request.error) }, 400);
    const { policy, ...rest } = request.data;
    const job = queue.submit(rest, policy ?? {}, sync);
    if (rest.webhook) platform.webhooks.follow(job, rest.webhook);
    return job;
  };

  /** The status once the job has ended, or after the time the client gives it. */
  const statusInTime = async (context: PlatformRequest, job: StoredJob): Promise<Response> => {
    const asked = Number(context.req.query('wait') ?? WAIT.default);
    const wait = Number.isFinite(asked) ? asked : WAIT.default;
    const holdMs = Math.min(Math.max(wait, WAIT.least), WAIT.most);
    const disconnected = untilClosed(context.env);
    await queue.until(job, () => gone(job), holdMs, disconnected.signal);
    disconnected.release();
    if (!queue.get(job.id)) return context.json({ error: 'job not found' }, 404);
    return context.json(statusOf(job));
  };
  const gone = (job: StoredJob): boolean => isFinal(job) || queue.get(job.id) === undefined;

  app.post('/run', limit(MAX_RUN_BYTES), async (context) => {
    const job = await submit(context, false);
    // RunPod's answer, even where a waiting worker has taken the job this instant.
    return job instanceof Response ? job : context.json({ id: job.id, status: 'IN_QUEUE' });
  });

  app.post('/runsync', limit(MAX_RUNSYNC_BYTES), async (context) => {
    const job = await submit(context, true);
    return job instanceof Response ? job : statusInTime(context, job);
  });

  app.get(
    '/status/:job',
    withJob((context, job) => context.json(statusOf(job))),
  );
  app.get('/status-sync/:job', withJob(statusInTime));

  app.get(
    '/stream/:job',
    withJob(async (context, job) => {
      const disconnected = untilClosed(context.env);
      const ready = (): boolean => job.chunks.length > 0 || gone(job);
      await queue.until(job, ready, STREAM_HOLD_MS, disconnected.signal);
      disconnected.release();
      if (!queue.get(job.id)) return context.json({ error: 'job not found' }, 404);
      const stream = job.chunks.splice(0).map((output) => ({ output }));
      return context.json({ status: job.state, stream });
    }),
  );

  app.post(
    '/cancel/:job',
    withJob((context, job) => {
      queue.cancel(job);
      return context.json(statusOf(job));
    }),
  );

  app.post(
    '/retry/:job',
    withJob((context, job) => {
      if (!queue.retry(job)) {
        return context.json({ error: 'only a failed or timed out job can be retried' }, 400);
      }
      return context.json({ id: job.id, status: 'IN_QUEUE' });
    }),
  );

  app.post('/purge-queue', (context) =>
    context.json({ removed: queue.purge(), status: 'completed' }),
  );

  app.get('/health', (context) =>
    context.json({
      jobs: {
        completed: queue.totals.COMPLETED,
        failed: queue.totals.FAILED,
        inProgress: queue.running().length,
        inQueue: queue.waiting,
        retried: queue.totals.retried,
      },
      workers: platform.workers.counts(),
    }),
  );
  return app;
}
