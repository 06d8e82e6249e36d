/** The worker's side of the local platform: job-take, job-stop, job-done, job-stream, ping. */
import type { HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { z } from 'zod';
import type { StoredJob } from './job.js';
import { MAX_RUN_BYTES, MAX_RUNSYNC_BYTES } from './limits.js';
import type { PlatformContext, PlatformEnvironment, WorkerCall } from './platform.js';
import { untilClosed } from './waiting.js';

/** What a worker posts; without a status the job is over. */
const doneSchema = z.object({
  status: z.string().optional(),
  output: z.unknown().optional(),
  error: z.unknown().optional(),
});
const chunkSchema = z.object({ output: z.unknown().optional() });

/** RunPod's batches are at most this large here, so that one call cannot empty the queue. */
const MAX_BATCH = 1000;

export function workerRoutes(platform: PlatformContext): Hono<PlatformEnvironment> {
  const { queue, holdMs } = platform;
  const app = new Hono<PlatformEnvironment>();
  const limit = bodyLimit({
    maxSize: MAX_RUNSYNC_BYTES,
    onError: (context) => context.json({ error: 'result too large' }, 400),
  });

  const handle =
    (
      kind: WorkerCall['kind'],
      act: (
        context: Context<PlatformEnvironment>,
        workerId: string,
        disconnected: AbortSignal,
      ) => Promise<Response>,
    ) =>
    async (context: Context<PlatformEnvironment>): Promise<Response> => {
      if (context.req.param('endpoint') !== platform.endpointId) return context.notFound();
      const workerId = context.req.param('worker') ?? '';
      const { incoming } = context.env;
      const injected = await platform.onWorkerCall?.({
        kind,
        workerId,
        jobId: context.req.param('job'),
        request: context.req.raw.clone(),
        drop: () => void incoming.socket.destroy(),
      });
      if (injected) return injected;
      if (context.req.header('authorization') !== platform.workerKey) {
        return context.json({ error: 'unauthorized' }, 401);
      }
      const left = platform.workers.seen(workerId);
      const disconnected = untilClosed(context.env);
      try {
        return await act(context, workerId, disconnected.signal);
      } finally {
        disconnected.release();
        left();
      }
    };

  const take = (batch: boolean) =>
    handle('job-take', async (context, workerId, disconnected) => {
      const wanted = batch ? Number(context.req.query('batch_size')) : 1;
      if (!Number.isInteger(wanted) || wanted < 1) {
        return context.json({ error: 'batch_size must be a positive integer' }, 400);
      }
      const jobs = await queue.take(workerId, Math.min(wanted, MAX_BATCH), holdMs, disconnected);
      if (jobs.length === 0) return context.body(null, 204);
      requeueUnlessSent(context.env, jobs, (job) => queue.requeue(job));
      const deliveries = jobs.map((job) => ({ ...job.request, id: job.id }));
      return context.json(batch ? deliveries : deliveries[0]);
    });
  app.get('/job-take/:worker', take(false));
  app.get('/job-take-batch/:worker', take(true));

  app.get(
    '/job-stop/:worker',
    handle('job-stop', async (context, workerId, disconnected) => {
      const ids = await queue.stops(workerId, holdMs, disconnected);
      return ids.length === 0 ? context.body(null, 204) : context.json({ jobsToStop: ids });
    }),
  );

  app.post(
    '/job-done/:worker/:job',
    limit,
    handle('job-done', async (context) => {
      const job = queue.get(context.req.param('job') ?? '');
      if (!job) return context.json({ error: 'job not found' }, 404);
      const text = await context.req.text();
      if (!job.sync && Buffer.byteLength(text) > MAX_RUN_BYTES) {
        return context.json({ error: 'result too large' }, 400);
      }
      const body = parseJson(text, doneSchema);
      if (!body) return context.json({ error: 'the body must be a JSON object' }, 400);
      if (body.status === 'IN_PROGRESS') queue.progress(job, body.output);
      else queue.finish(job, { output: body.output, error: errorText(body.error) });
      return context.json({ status: 'ok' });
    }),
  );

  app.post(
    '/job-stream/:worker/:job',
    limit,
    handle('job-stream', async (context) => {
      const job = queue.get(context.req.param('job') ?? '');
      if (!job) return context.json({ error: 'job not found' }, 404);
      const body = parseJson(await context.req.text(), chunkSchema);
      if (!body) return context.json({ error: 'the body must be a JSON object' }, 400);
      queue.chunk(job, body.output);
      return context.json({ status: 'ok' });
    }),
  );

  app.get(
    '/ping/:worker',
    handle('ping', async (context, workerId) => {
      platform.workers.pinged(workerId, context.req.query('job_id')?.split(',') ?? []);
      return context.json({ status: 'ok' });
    }),
  );
  return app;
}

/** A delivery that was cut off goes back to the queue: the worker never saw it. */
function requeueUnlessSent(
  { outgoing }: HttpBindings,
  jobs: StoredJob[],
  requeue: (job: StoredJob) => void,
): void {
  outgoing.once('close', () => {
    if (outgoing.writableFinished) return;
    for (const job of jobs.reverse()) requeue(job);
  });
}

function errorText(error: unknown): string | undefined {
  if (error === undefined || error === null || error === '') return undefined;
  return typeof error === 'string' ? error : JSON.stringify(error);
}

/** Workers send JSON under a form's content type. */
function parseJson<T>(text: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
