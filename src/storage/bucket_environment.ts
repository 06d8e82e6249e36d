/**
 * The bucket that the environment names. Its variables are read here and nowhere else: AWS_*, which
 * every S3 tool knows, for whose bucket it is, VOXPOD_S3_* for which one.
 */
import { readEndpoint } from './bucket_endpoint.js';

export interface BucketSettings {
  bucket: string;
  /** Below which everything is kept, without slashes at its ends; '' is the whole bucket. */
  prefix: string;
  /** Undefined for Amazon S3. */
  endpoint: string | undefined;
  region: string;
  pathStyle: boolean;
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  /** Who gave the settings, so that messages name the place where they are mended. */
  source: 'environment' | 'job';
}

/** Settings, or why there are none; `notes` are about variables that are not read any more. */
export type BucketEnvironment =
  | { settings: BucketSettings; notes: string[] }
  | { settings?: undefined; reason: string; notes: string[] };

/** As S3 and its likes take them; Amazon's oldest buckets have capitals and underscores. */
export const BUCKET_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;

/** Names that earlier versions and RunPod's Python SDK read, and what they are called here. */
const SUCCESSORS: readonly [pattern: RegExp, successor: string][] = [
  [/^BUCKET_ENDPOINT_URL$|^BACKBLAZE_.*(ENDPOINT|URL|HOST)/, 'AWS_ENDPOINT_URL'],
  [/^BUCKET_SECRET_ACCESS_KEY$|^BACKBLAZE_.*(SECRET|APP(LICATION)?_KEY$)/, 'AWS_SECRET_ACCESS_KEY'],
  [/^BUCKET_ACCESS_KEY_ID$|^BACKBLAZE_.*KEY/, 'AWS_ACCESS_KEY_ID'],
  [/^BACKBLAZE_.*REGION/, 'AWS_REGION'],
  [/^BACKBLAZE_.*(PREFIX|PATH)/, 'VOXPOD_S3_PREFIX'],
  [/^BACKBLAZE_.*BUCKET/, 'VOXPOD_S3_BUCKET'],
];

export function readBucketEnvironment(env: NodeJS.ProcessEnv = process.env): BucketEnvironment {
  // A line break pasted with a key is no part of it.
  const read = (name: string): string => env[name]?.trim() ?? '';
  const notes = outdated(env, read);
  const missing = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'VOXPOD_S3_BUCKET'].filter(
    (name) => read(name) === '',
  );
  if (missing.length > 0) {
    return { reason: `${list(missing)} ${missing.length > 1 ? 'are' : 'is'} not set`, notes };
  }
  const bucket = read('VOXPOD_S3_BUCKET');
  if (!BUCKET_NAME.test(bucket)) {
    return {
      reason: `VOXPOD_S3_BUCKET is no name of a bucket (${JSON.stringify(bucket.slice(0, 100))}); folders in it go into VOXPOD_S3_PREFIX, the server into AWS_ENDPOINT_URL`,
      notes,
    };
  }
  const prefix = cleanPrefix(read('VOXPOD_S3_PREFIX'));
  if (prefix === undefined) {
    return { reason: 'VOXPOD_S3_PREFIX has an empty, "." or ".." part', notes };
  }
  const endpoint = readEndpoint(
    read('AWS_ENDPOINT_URL') || undefined,
    bucket,
    read('AWS_REGION') || undefined,
  );
  if (typeof endpoint === 'string') return { reason: `AWS_ENDPOINT_URL ${endpoint}`, notes };
  const sessionToken = read('AWS_SESSION_TOKEN');
  const settings: BucketSettings = {
    bucket,
    prefix,
    endpoint: endpoint.url,
    region: endpoint.region,
    pathStyle: endpoint.pathStyle,
    credentials: {
      accessKeyId: read('AWS_ACCESS_KEY_ID'),
      secretAccessKey: read('AWS_SECRET_ACCESS_KEY'),
      ...(sessionToken === '' ? {} : { sessionToken }),
    },
    source: 'environment',
  };
  return { settings, notes };
}

/** The one line about the bucket that a worker logs at its start. */
export function describeBucket(environment: BucketEnvironment): string {
  const { settings, notes } = environment;
  const bucket =
    settings === undefined
      ? `No bucket: ${environment.reason}`
      : `Bucket ${settings.bucket}${settings.prefix === '' ? '' : `/${settings.prefix}`} at ${describeEndpoint(settings)}, region ${settings.region}`;
  return `${[bucket, ...notes].join('. ')}.`;
}

export function describeEndpoint(settings: BucketSettings): string {
  return settings.endpoint ?? 'Amazon S3';
}

/** Without slashes at its ends; undefined where it could leave its place. */
export function cleanPrefix(text: string): string | undefined {
  const prefix = text.replace(/^\/+|\/+$/g, '');
  if (prefix === '') return '';
  return prefix.split('/').some((part) => ['', '.', '..'].includes(part)) ? undefined : prefix;
}

/** Where the successor is set too, an old name belongs to somebody else. */
function outdated(env: NodeJS.ProcessEnv, read: (name: string) => string): string[] {
  const notes: string[] = [];
  for (const name of Object.keys(env).sort()) {
    const successor = SUCCESSORS.find(([pattern]) => pattern.test(name))?.[1];
    if (successor === undefined || read(name) === '' || read(successor) !== '') continue;
    notes.push(`${name} is not read: set ${successor} instead`);
  }
  return notes;
}

/** "A", "A and B", "A, B and C". */
function list(names: readonly string[]): string {
  if (names.length < 2) return names.join('');
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
}
