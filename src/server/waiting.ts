/** What a long poll waits for: an event, the time, or the caller's patience. */
import type { HttpBindings } from '@hono/node-server';

/** A signal that aborts when the caller hangs up before it has its answer. */
export function untilClosed({ outgoing }: HttpBindings): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const onClose = (): void => controller.abort();
  outgoing.once('close', onClose);
  return { signal: controller.signal, release: () => outgoing.off('close', onClose) };
}

/** Resolves when the function that is handed to `subscribe` is called, in time or not. */
export function waitForCall(
  subscribe: (wake: () => void) => void,
  milliseconds: number,
  signal: AbortSignal,
  unsubscribe: (wake: () => void) => void,
): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      unsubscribe(wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    signal.addEventListener('abort', wake, { once: true });
    subscribe(wake);
  });
}
