/** The worker's side of the local platform: job-take, job-stop, job-done, job-stream, ping. */
import type { HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';
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

  const handle =
    (
      kind: WorkerCall['kind'],
      act: (
        context: Context<PlatformEnvironment>,
        workerId: string,
        disconnected: AbortSignal,
        body: string,
      ) => Promise<Response>,
    ) =>
    async (context: Context<PlatformEnvironment>): Promise<Response> => {
      if (context.req.param('endpoint') !== platform.endpointId) return context.notFound();
      const workerId = context.req.param('worker') ?? '';
      const { incoming } = context.env;
      const body = context.req.method === 'POST' ? await readBody(incoming) : '';
      if (body === undefined) return context.json({ error: 'result too large' }, 400);
      const injected = await platform.onWorkerCall?.({
        kind,
        workerId,
        jobId: context.req.param('job'),
        url: context.req.url,
        headers: incoming.headers,
        body,
        drop: () => void incoming.socket.destroy(),
      });
      if (injected) return injected;
      if (context.req.header('authorization') !== platform.workerKey) {
        return context.json({ error: 'unauthorized' }, 401);
      }
      const left = platform.workers.seen(workerId);
      const disconnected = untilClosed(context.env);
      try {
        return await act(context, workerId, disconnected.signal, body);
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
    handle('job-done', async (context, _workerId, _disconnected, text) => {
      const job = queue.get(context.req.param('job') ?? '');
      if (!job) return context.json({ error: 'job not found' }, 404);
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
    handle('job-stream', async (context, _workerId, _disconnected, text) => {
      const job = queue.get(context.req.param('job') ?? '');
      if (!job) return context.json({ error: 'job not found' }, 404);
      const body = parseJson(text, chunkSchema);
      if (!body) return context.json({ error: 'the body must be a JSON object' }, 400);
      queue.chunk(job, body.output);
      return context.json({ status: 'ok' });
    }),
  );

  app.get(
    '/ping/:worker',
    handle('ping', async (context, workerId) => {
      // Its last word: a worker that failed its fitness checks takes no jobs.
      if (context.req.query('status') === 'unhealthy') platform.workers.lost(workerId);
      else platform.workers.pinged(workerId, context.req.query('job_id')?.split(',') ?? []);
      return context.json({ status: 'ok' });
    }),
  );
  return app;
}

/**
 * Undefined where it is over the limit. Read from the connection itself: a web Request for each of a
 * thousand small results a second would cost as much as all the rest.
 */
function readBody(incoming: HttpBindings['incoming']): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    incoming.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      // The rest is read and thrown away, so that the worker can read the answer.
      if (bytes > MAX_RUNSYNC_BYTES) chunks.length = 0;
      else chunks.push(chunk);
    });
    incoming.on('end', () => {
      resolve(bytes > MAX_RUNSYNC_BYTES ? undefined : Buffer.concat(chunks).toString());
    });
    incoming.on('error', reject);
  });
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
