/** What a job's request is made of: an audio file, a URL, a file of JSON or JSON itself. */
import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { ArgumentError, messageOf } from '../../lib/errors.js';
import { MAX_RUN_BYTES } from '../server/limits.js';
import { isObject } from './result.js';

/** The body of RunPod's /run; other keys (policy, webhook) go along. */
export interface JobRequest {
  input: unknown;
  [key: string]: unknown;
}

/**
 * `source`: JSON that begins with "{", the path of a .json file, an http(s) URL of audio, or the path
 * of an audio file. JSON with an `input` is a whole request, other JSON is the input. `overrides`
 * replace keys of the input.
 * @throws ArgumentError INVALID_ARGUMENT where it cannot be read, or is over RunPod's 10 MB.
 */
export async function readRequest(
  source: string,
  overrides: Record<string, unknown> = {},
): Promise<JobRequest> {
  const request = await requestOf(source);
  if (Object.keys(overrides).length > 0) {
    if (!isObject(request.input)) {
      throw wrong("the job's input is no object, so it takes no options such as --model");
    }
    request.input = { ...request.input, ...overrides };
  }
  return request;
}

async function requestOf(source: string): Promise<JobRequest> {
  if (source.trimStart().startsWith('{')) return parse(source, 'the JSON');
  if (/^https?:\/\//i.test(source)) return { input: { audio: source } };
  const isJson = extname(source).toLowerCase() === '.json';
  const bytes = await read(source, isJson ? MAX_RUN_BYTES : (MAX_RUN_BYTES / 4) * 3);
  if (isJson) return parse(bytes.toString('utf8'), source);
  return { input: { audio_base64: bytes.toString('base64') } };
}

async function read(path: string, maxBytes: number): Promise<Buffer> {
  let size: number;
  try {
    ({ size } = await stat(path));
    if (size <= maxBytes) return await readFile(path);
  } catch (cause) {
    throw wrong(`${path} cannot be read: ${messageOf(cause)}`, cause);
  }
  throw wrong(
    `${path} has ${size} bytes, and RunPod takes at most ${MAX_RUN_BYTES} in a job, with audio in base64 (4 bytes for 3). Send a compressed or shorter file, or the URL of one`,
  );
}

function parse(text: string, name: string): JobRequest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw wrong(`${name} is no JSON: ${messageOf(cause)}`, cause);
  }
  if (!isObject(value)) throw wrong(`${name} must be an object: {"input": {...}} or the input`);
  return 'input' in value ? { ...value, input: value['input'] } : { input: value };
}

function wrong(message: string, cause?: unknown): ArgumentError {
  return new ArgumentError('INVALID_ARGUMENT', message, cause === undefined ? {} : { cause });
}
