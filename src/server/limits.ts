/** Limits that RunPod documents for its endpoints, and the end of a connection as a signal. */
import type { HttpBindings } from '@hono/node-server';

/** Payload of /run, and of a result that is fetched with /status. */
export const MAX_RUN_BYTES = 10 * 1024 * 1024;
/** Payload of /runsync. */
export const MAX_RUNSYNC_BYTES = 20 * 1024 * 1024;

/** A signal that aborts when the caller hangs up before it has its answer. */
export function until({ outgoing }: HttpBindings): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onClose = (): void => controller.abort();
  outgoing.once('close', onClose);
  return { signal: controller.signal, release: () => outgoing.off('close', onClose) };
}
