/** Receives the bytes that a job points to, under limits on their size, the time and the silence. */
import { DownloadError, messageOf, VoxpodError } from '../../lib/errors.js';
import { untilAborted } from '../abort.js';
import { Sink, type Received } from './sink.js';

export type { Received } from './sink.js';

export interface TransferLimits {
  maxBytes: number;
  /** Above it the body goes to a temporary file. */
  maxMemoryBytes: number;
  totalMs: number;
  /** The longest silence, before the answer and inside it. */
  stallMs: number;
}

export const TRANSFER_LIMITS: TransferLimits = {
  maxBytes: 500 * 1000 * 1000,
  maxMemoryBytes: 64 * 1024 * 1024,
  totalMs: 600_000,
  stallMs: 30_000,
};

export interface Incoming {
  /** Undefined or NaN where the sender does not say. */
  bytes: number | undefined;
  body: AsyncIterable<unknown>;
}

/**
 * `open` connects and resolves with the body; its signal aborts when a limit is passed and once all
 * is over. `name` is what messages call the source.
 * @throws DownloadError DOWNLOAD_FAILED, DOWNLOAD_TOO_LARGE, DOWNLOAD_TIMEOUT; what `open` throws of
 * voxpod's own errors; the signal's reason when it aborts.
 */
export async function transfer(
  name: string,
  limits: TransferLimits,
  signal: AbortSignal,
  open: (signal: AbortSignal) => Promise<Incoming>,
): Promise<Received> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const stop = (reason: unknown): void => controller.abort(reason);
  const onAbort = (): void => stop(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const total = setTimeout(
    () => stop(timeout(name, `took longer than ${limits.totalMs / 1000} s`)),
    limits.totalMs,
  );
  const stall = setTimeout(
    () => stop(timeout(name, `sent nothing for ${limits.stallMs / 1000} s`)),
    limits.stallMs,
  );
  try {
    // DNS look-ups cannot be aborted, so the wait for them is.
    const incoming = await untilAborted(open(controller.signal), controller.signal);
    const alive = (): void => void stall.refresh();
    alive();
    return await receive(name, incoming, limits, controller.signal, alive);
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    if (error instanceof VoxpodError) throw error;
    throw new DownloadError('DOWNLOAD_FAILED', `${name} could not be read: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    clearTimeout(total);
    clearTimeout(stall);
    signal.removeEventListener('abort', onAbort);
    // Whatever is still open is not needed any more.
    controller.abort();
  }
}

async function receive(
  name: string,
  { bytes, body }: Incoming,
  limits: TransferLimits,
  signal: AbortSignal,
  alive: () => void,
): Promise<Received> {
  if ((bytes ?? 0) > limits.maxBytes) throw tooLarge(name, limits.maxBytes);
  const sink = new Sink(limits.maxMemoryBytes, bytes);
  try {
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) continue;
      alive();
      if (sink.bytes + chunk.length > limits.maxBytes) throw tooLarge(name, limits.maxBytes);
      await sink.write(chunk);
    }
    signal.throwIfAborted();
    return await sink.end();
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

function timeout(name: string, what: string): DownloadError {
  return new DownloadError('DOWNLOAD_TIMEOUT', `${name} ${what}. Use a faster server`);
}

function tooLarge(name: string, limit: number): DownloadError {
  return new DownloadError(
    'DOWNLOAD_TOO_LARGE',
    `${name} is larger than the limit of ${limit} bytes. Send compressed or shorter audio`,
  );
}
