/** Checks of what is reached over the network: the bucket, the hub, and the clock they go by. */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../lib/errors.js';
import { Bucket } from '../storage/bucket.js';
import { describeBucket, readBucketEnvironment } from '../storage/bucket_environment.js';
import { get, HttpStatusError } from '../storage/http.js';
import { bad, note, ok, type Check } from './findings.js';

/** Small, public, and there as long as Whisper is. */
const HUB_PROBE = '/api/models/openai/whisper-tiny';
const TIMEOUT_MS = 10_000;
/** S3 refuses signatures that are 15 minutes off; Backblaze and TLS suffer from less. */
const CLOCK_BAD_S = 300;
const CLOCK_NOTE_S = 5;

export function networkChecks(env: NodeJS.ProcessEnv): Check[] {
  let serverTime: { at: number; server: Date; of: string } | undefined;
  return [
    { name: 'bucket', run: (signal) => bucket(env, signal) },
    {
      name: 'hub',
      run: async (signal) => {
        const endpoint = env['HF_ENDPOINT'] || 'https://huggingface.co';
        const token = env['HF_TOKEN'];
        const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
        try {
          const response = await get(endpoint + HUB_PROBE, {
            signal,
            headers,
            timeoutMs: TIMEOUT_MS,
          });
          await response.body?.cancel();
          const date = response.headers.get('date');
          if (date !== null) {
            serverTime = { at: Date.now(), server: new Date(date), of: endpoint };
          }
          return ok(`${endpoint}${token ? ', with HF_TOKEN' : ''}`);
        } catch (error) {
          if (error instanceof HttpStatusError && error.status === 401) {
            return bad(`${endpoint} refuses HF_TOKEN: make a new one there, or unset it`);
          }
          return bad(
            `${messageOf(error)}. Models must then be in a tier or in the bucket; a mirror is named by HF_ENDPOINT`,
          );
        }
      },
    },
    {
      name: 'clock',
      run: () => {
        if (serverTime === undefined) {
          return note('not compared: the hub did not answer');
        }
        const { at, server, of } = serverTime;
        // The header has whole seconds.
        const off = Math.round((at - server.getTime()) / 1000);
        const detail = `${Math.abs(off)} s ${off < 0 ? 'behind' : 'ahead of'} ${of}`;
        if (Math.abs(off) > CLOCK_BAD_S) {
          return bad(`${detail}: S3 refuses requests that are signed with it; set the clock (NTP)`);
        }
        return Math.abs(off) > CLOCK_NOTE_S ? note(detail) : ok('right');
      },
    },
  ];
}

/** Written, read, compared and deleted: a key that may only read is found out here. */
async function bucket(env: NodeJS.ProcessEnv, signal: AbortSignal) {
  const environment = readBucketEnvironment(env);
  const line = describeBucket(environment);
  if (environment.settings === undefined) return note(line);
  const store = new Bucket(environment.settings, { attempts: 2, totalMs: 30_000 });
  const key = [store.prefix, `voxpod-doctor-${randomUUID()}`].filter((part) => part).join('/');
  const content = randomUUID();
  try {
    const started = performance.now();
    await store.put(key, content, { contentType: 'text/plain', signal });
    const { body } = await store.get(key, { signal });
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    const read = Buffer.concat(chunks).toString();
    await store.delete(key, { signal });
    if (read !== content) return bad(`${line} It gave back other bytes than were stored`);
    const milliseconds = Math.round(performance.now() - started);
    return ok(`${line} Written, read and deleted in ${milliseconds} ms`);
  } finally {
    await store.dispose();
  }
}
