/** What a job's output holds: itself or a link to it, text or sound. */
import { DownloadError, messageOf } from '../../lib/errors.js';

/** An output that is sound; the chunks of a stream are, too. */
export interface Sound {
  bytes: Uint8Array;
  /** "wav", "mp3", ...: a file's extension. */
  format: string | undefined;
}

/** No string is longer in Node, and no job that ran for minutes makes as much sound. */
const MAX_BYTES = 512 * 1024 * 1024;

/**
 * The output itself where the worker gave a link to it (`{result_url, bytes, expires_at}`: it was too
 * large for RunPod), else what is given.
 * @throws DownloadError DOWNLOAD_FAILED, DOWNLOAD_TOO_LARGE; the signal's reason when it aborts.
 */
export async function followLink(output: unknown, signal: AbortSignal): Promise<unknown> {
  const url = isObject(output) ? output['result_url'] : undefined;
  if (typeof url !== 'string') return output;
  const bytes = await fetchBytes(url, signal);
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return value;
  } catch (cause) {
    throw failed(url, `is no JSON: ${messageOf(cause)}`, cause);
  }
}

/**
 * The sound of an output with `audio_base64` or `audio_url`; undefined for any other.
 * @throws as `followLink`
 */
export async function soundOf(output: unknown, signal: AbortSignal): Promise<Sound | undefined> {
  const inside = soundIn(output);
  if (inside !== undefined || !isObject(output)) return inside;
  const url = output['audio_url'];
  if (typeof url !== 'string') return undefined;
  return { bytes: await fetchBytes(url, signal), format: formatOf(output) };
}

/** The sound that is in an output or chunk itself. */
export function soundIn(output: unknown): Sound | undefined {
  const base64 = isObject(output) ? output['audio_base64'] : undefined;
  if (typeof base64 !== 'string') return undefined;
  return { bytes: Buffer.from(base64, 'base64'), format: formatOf(output) };
}

function formatOf(output: unknown): string | undefined {
  const format = isObject(output) ? output['format'] : undefined;
  // It becomes part of a file's name.
  return typeof format === 'string' && /^[a-z0-9]{1,8}$/.test(format) ? format : undefined;
}

async function fetchBytes(url: string, signal: AbortSignal): Promise<Uint8Array> {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
    throw failed(url, 'is no http or https URL');
  }
  try {
    const response = await fetch(url, { signal });
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      throw failed(url, `answered with HTTP ${response.status}: the link may have expired`);
    }
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    // The types of the DOM's stream and of Node's differ in name alone.
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
      if (bytes > MAX_BYTES) {
        throw new DownloadError(
          'DOWNLOAD_TOO_LARGE',
          `${shown(url)} holds more than ${MAX_BYTES} bytes. Fetch it with another tool`,
        );
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof DownloadError) throw error;
    // fetch says only "fetch failed"; what happened is in its cause.
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw failed(url, `could not be fetched: ${messageOf(cause)}`, error);
  }
}

function failed(url: string, problem: string, cause?: unknown): DownloadError {
  return new DownloadError(
    'DOWNLOAD_FAILED',
    `The job is COMPLETED, but its result at ${shown(url)} ${problem}`,
    cause === undefined ? {} : { cause },
  );
}

/** Without the query, which in a presigned URL is a secret. */
function shown(url: string): string {
  if (!URL.canParse(url)) return JSON.stringify(url.slice(0, 100));
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`.slice(0, 200);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
