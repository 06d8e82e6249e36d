/** Runs one job without a platform: for trying a handler on a file of test input. */
import type { Logger } from '../log.js';
import { checkJob, generatorOf, jobId, type Handler } from './job.js';
import { errorOf } from './result.js';

/** Id of a job that brings none, as with RunPod's SDK. */
const LOCAL_ID = 'local_test';

/**
 * Resolves to the handler's output; that of a generator is an array of its chunks.
 * @throws JobError JOB_INVALID where the job has no input; what the handler throws.
 */
export async function runJob(
  handler: Handler,
  delivery: unknown,
  options: { log: Logger; signal: AbortSignal },
): Promise<unknown> {
  const id = jobId(delivery) ?? LOCAL_ID;
  const log = options.log.forRequest(id);
  const returned: unknown = await handler(checkJob(id, delivery), {
    signal: options.signal,
    progress: (value) => log.info(`Progress: ${JSON.stringify(value)}`),
    log,
  });
  const generator = generatorOf(returned);
  if (!generator) return returned;
  const chunks: unknown[] = [];
  for await (const chunk of generator) {
    chunks.push(chunk);
    if (errorOf(chunk) !== undefined) break;
  }
  return chunks;
}
