/**
 * What an S3 server or the way to it reports, in words that say what to do. Codes: "List of error
 * codes" in Amazon's S3 API reference, with those of Backblaze B2 and R2 that differ.
 */
import { messageOf, VoxpodError } from '../../lib/errors.js';
import { describeEndpoint, type BucketSettings } from './bucket_environment.js';
import { networkTrouble } from './network_errors.js';

/** Something with the bucket went wrong: the key, the region, the server, the way to it. */
export class BucketError extends VoxpodError {}

export interface BucketAction {
  /** What was tried, as in "storing speech/jobs/1/a.wav". */
  doing: string;
  key: string;
}

/** What the settings are called where their giver wrote them. */
const NAMES = {
  environment: {
    keyId: 'AWS_ACCESS_KEY_ID',
    secret: 'AWS_SECRET_ACCESS_KEY',
    token: 'AWS_SESSION_TOKEN',
    endpoint: 'AWS_ENDPOINT_URL',
    region: 'AWS_REGION',
    bucket: 'VOXPOD_S3_BUCKET',
  },
  job: {
    keyId: 's3Config.accessId',
    secret: 's3Config.accessSecret',
    token: 's3Config',
    endpoint: 's3Config.endpointUrl',
    region: 'the region in s3Config.endpointUrl',
    bucket: 's3Config.bucketName',
  },
} as const;

/**
 * The error to throw for what the SDK threw. Nothing of the SDK's own error is kept but its name and
 * message: the rest holds the request with its signature.
 */
export function explainBucketError(
  error: unknown,
  settings: BucketSettings,
  action: BucketAction,
): VoxpodError {
  // What a guarded look-up of the address refused.
  if (error instanceof VoxpodError) return error;
  const scrub = scrubber(settings);
  const detail = scrub(describe(error)).slice(0, 300);
  const cause = new Error(detail);
  return new BucketError(
    'BUCKET_FAILED',
    `${action.doing} failed: ${advice(facts(error), settings, action)} (${detail})`,
    { cause },
  );
}

interface Facts {
  /** The service's or the system's name of the error. */
  name: string;
  code: string;
  status: number | undefined;
  message: string;
  /** Where the service says the bucket is. */
  region: string | undefined;
  attempts: number;
}

function advice(error: Facts, settings: BucketSettings, action: BucketAction): string {
  const names = NAMES[settings.source];
  const where = describeEndpoint(settings);
  const { name, code, status } = error;
  switch (name) {
    case 'InvalidAccessKeyId':
      return `${where} does not know the key. Check ${names.keyId}, and that it belongs to ${where}`;
    case 'SignatureDoesNotMatch':
      return `${where} refused the signature. Check ${names.secret}, and ${names.region}, which is ${settings.region} here`;
    case 'AuthorizationHeaderMalformed':
    case 'PermanentRedirect':
    case 'TemporaryRedirect':
    case 'IllegalLocationConstraintException':
    case 'AuthorizationQueryParametersError':
      return wrongRegion(error, settings);
    case 'NoSuchBucket':
      return `there is no bucket ${settings.bucket} at ${where}. Create it, or check ${names.bucket} and ${names.endpoint}`;
    case 'NoSuchKey':
    case 'NotFound':
      return `there is no object ${action.key} in the bucket ${settings.bucket}. Check the key; upper and lower case differ`;
    case 'RequestTimeTooSkewed':
    case 'RequestExpired':
    case 'RequestInTheFuture':
      return `the clock of this machine (${new Date().toISOString()}) is wrong. Set it, by NTP say`;
    case 'ExpiredToken':
    case 'InvalidToken':
    case 'TokenRefreshRequired':
      return `the session has ended. Renew the keys and ${names.token}, or leave ${names.token} out with keys that last`;
    case 'AccessDenied':
    case 'Forbidden':
    case 'AllAccessDisabled':
      return `the key may not do this in the bucket ${settings.bucket}. Give it the right to read and write there, or check that the bucket is yours`;
  }
  if (status !== undefined && status >= 500) {
    return `${where} answered with HTTP ${status} ${error.attempts > 1 ? `${error.attempts} times` : 'once'}. Try again later`;
  }
  if (status === 429) return `${where} has too many requests. Try again later`;
  if (status === 301 || status === 307 || status === 308) return wrongRegion(error, settings);
  if (status === 401 || status === 403) {
    return `${where} refused the key. Check ${names.keyId}, ${names.secret} and the key's rights`;
  }
  const trouble = networkTrouble(code);
  if (trouble === 'unreachable') {
    return `${where} cannot be reached. Check ${names.endpoint} and the network`;
  }
  if (name === 'TimeoutError' || trouble === 'timeout') {
    return `${where} did not answer in time. Check ${names.endpoint} and the network`;
  }
  if (/CERT|SSL|TLS|SELF_SIGNED|EPROTO/.test(code)) {
    return `no secure connection to ${where} came about. Check https or http in ${names.endpoint}, and its certificate`;
  }
  if (trouble === 'broken' || error.message === 'aborted') {
    return `the connection to ${where} broke. Try again`;
  }
  if (/Deserialization error/.test(error.message)) {
    return `${where} did not answer as an S3 server does. Check ${names.endpoint}`;
  }
  return `${where} refused it${status === undefined ? '' : ` with HTTP ${status}`}`;
}

function wrongRegion(error: Facts, settings: BucketSettings): string {
  const names = NAMES[settings.source];
  const expected = error.region ?? /expecting '([a-z0-9-]+)'/.exec(error.message)?.[1] ?? undefined;
  const set =
    settings.source === 'environment'
      ? `Set AWS_REGION to ${expected ?? "the bucket's region"}`
      : `Give the endpoint of ${expected ?? "the bucket's region"}`;
  return `the bucket ${settings.bucket} is not in the region ${settings.region}. ${set}, and check ${names.endpoint}`;
}

function facts(error: unknown): Facts {
  const metadata = member(error, '$metadata');
  const headers = member(member(error, '$response'), 'headers');
  const name = text(member(error, 'name'));
  return {
    name: name === 'Error' || name === 'Unknown' ? text(member(error, 'Code')) : name,
    code: text(member(error, 'code')),
    status: number(member(metadata, 'httpStatusCode')),
    message: messageOf(error),
    region:
      text(member(headers, 'x-amz-bucket-region')) || text(member(error, 'Region')) || undefined,
    attempts: number(member(metadata, 'attempts')) ?? 1,
  };
}

function describe(error: unknown): string {
  const { name, code, status } = facts(error);
  const kind = name || code;
  // The SDK's hint at properties of its error is of no use in a log.
  const message = messageOf(error).split('\n')[0]?.trim() ?? '';
  const parts = [kind === message ? '' : kind, message === 'UnknownError' ? '' : message];
  const joined = parts.filter((part) => part !== '').join(': ');
  return joined || (status === undefined ? 'no further word' : `HTTP ${status}`);
}

/** Blacks out the credentials, which some servers repeat in their messages. */
function scrubber({ credentials }: BucketSettings): (text: string) => string {
  // Shorter ones are nobody's key, and would black out harmless text.
  const secrets = Object.values(credentials).filter((value) => value.length >= 8);
  return (message) => {
    let clean = message;
    for (const secret of secrets) clean = clean.replaceAll(secret, '***');
    return clean;
  };
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Reflect.get(value, name);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
