/**
 * A real S3 server for tests: moto's, installed from the Python index on first use below voxpod's
 * cache, and one process for a test file. It checks signatures against the keys of a user.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { cacheRoot } from '../../../lib/cache_root.js';
import { messageOf } from '../../../lib/errors.js';
import type { BucketSettings } from '../../../src/storage/bucket_environment.js';

/** Only what the S3 part of the server needs: all of moto[server] is 300 MB. */
const REQUIREMENTS = ['moto[s3]==5.2.5', 'flask==3.1.3', 'flask-cors==6.0.5'];
const python = process.env['VOXPOD_PYTHON'] || 'python3';

export interface S3Server {
  readonly url: string;
  /** Of a user with all rights. */
  readonly credentials: BucketSettings['credentials'];
  /** Settings of a bucket of this server, created now. */
  createBucket(name?: string): Promise<BucketSettings>;
  /** Fetches a presigned link. The server cannot check a link's signature, only that there is one. */
  open(link: string): Promise<Response>;
}

/** Starts the server before this file's tests and stops it after them; a text says why it cannot. */
export async function startS3Server(): Promise<S3Server | string> {
  let folder: string;
  try {
    folder = await install();
  } catch (error) {
    return `no S3 server: ${messageOf(error)}`;
  }
  const child = spawn(python, ['-m', 'moto.server', '-H', '127.0.0.1', '-p', '0'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONPATH: folder, PYTHONUNBUFFERED: '1' },
  });
  after(() => stop(child));
  const url = await listening(child);
  const credentials = await createUser(url);
  return {
    url,
    credentials,
    createBucket: async (name = `test-${randomUUID()}`) => {
      const settings: BucketSettings = {
        bucket: name,
        prefix: '',
        endpoint: url,
        region: 'us-east-1',
        pathStyle: true,
        credentials,
        source: 'environment',
      };
      const { CreateBucketCommand, S3Client } = await import('@aws-sdk/client-s3');
      const { region } = settings;
      const client = new S3Client({ endpoint: url, region, credentials, forcePathStyle: true });
      await client.send(new CreateBucketCommand({ Bucket: name }));
      client.destroy();
      return settings;
    },
    open: async (link) => {
      await checkSignatures(url, false);
      try {
        return await fetch(link);
      } finally {
        await checkSignatures(url, true);
      }
    },
  };
}

/** The server, or undefined once the test has been skipped. */
export function needS3(server: S3Server | string, t: TestContext): S3Server | undefined {
  if (typeof server !== 'string') return server;
  t.skip(server);
  return undefined;
}

/** The variables that name this bucket to a worker. */
export function s3Environment(
  server: S3Server,
  { bucket, credentials }: BucketSettings,
): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: server.url,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    VOXPOD_S3_BUCKET: bucket,
  };
}

/** A folder for PYTHONPATH. Needs no venv module, and leaves the system's packages alone. */
async function install(): Promise<string> {
  const parent = join(cacheRoot(), 'test-tools');
  const folder = join(parent, REQUIREMENTS[0]?.replace(/\W+/g, '-') ?? 'moto');
  if (existsSync(folder)) return folder;
  const temporary = join(parent, `.incomplete-${randomUUID()}`);
  await mkdir(temporary, { recursive: true });
  try {
    await run([
      ...['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check'],
      ...['--no-cache-dir', '--only-binary=:all:', '--target', temporary, ...REQUIREMENTS],
    ]);
    // Another test file may have been first.
    await rename(temporary, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
    return folder;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function run(args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(python, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let words = '';
    child.stderr.on('data', (data: Buffer) => (words = (words + data.toString()).slice(-500)));
    child.on('error', reject);
    child.on('close', (status) =>
      status === 0 ? resolve() : reject(new Error(words.trim() || 'pip failed')),
    );
  });
}

/** The port is the system's choice, and the server's to tell. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let words = '';
    const onData = (data: Buffer): void => {
      words = (words + data.toString()).slice(-4000);
      const found = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(words)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout?.on('data', onData);
    child.stderr?.on('data', onData);
    child.on('error', reject);
    child.on('exit', () => reject(new Error(`the S3 server ended: ${words}`)));
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}

async function checkSignatures(url: string, on: boolean): Promise<void> {
  await fetch(`${url}/moto-api/reset-auth`, { method: 'POST', body: on ? '0' : 'inf' });
}

/** Makes a user who may do everything, then has every request's signature checked. */
async function createUser(url: string): Promise<BucketSettings['credentials']> {
  const call = async (parameters: Record<string, string>): Promise<string> => {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/x-www-form-urlencoded',
        // What the request is for is read from the scope of its signature.
        Authorization:
          'AWS4-HMAC-SHA256 Credential=none/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0',
      },
      body: new URLSearchParams({ Version: '2010-05-08', UserName: 'tester', ...parameters }),
    });
    const body = await response.text();
    if (!response.ok) throw new Error(`${parameters['Action'] ?? ''}: ${body}`);
    return body;
  };
  await call({ Action: 'CreateUser' });
  await call({
    Action: 'PutUserPolicy',
    PolicyName: 'all',
    PolicyDocument: JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }],
    }),
  });
  const keys = await call({ Action: 'CreateAccessKey' });
  const member = (name: string): string => {
    const value = new RegExp(`<${name}>([^<]+)</${name}>`).exec(keys)?.[1];
    if (value === undefined) throw new Error(`no ${name} in ${keys}`);
    return value;
  };
  await checkSignatures(url, true);
  return { accessKeyId: member('AccessKeyId'), secretAccessKey: member('SecretAccessKey') };
}
