/** The worker's one handler: a job with `text` is speech, one with `audio` is a transcription. */
import { JobError } from '../../lib/errors.js';
import type { Handler } from '../runpod/job.js';
import { speechHandler, type SpeechHandlerOptions } from './speech.js';
import { transcriptionHandler, type TranscriptionHandlerOptions } from './transcription.js';

export type JobHandlerOptions = TranscriptionHandlerOptions & SpeechHandlerOptions;

export type JobKind = 'speech' | 'transcription';

export function jobHandler(options: JobHandlerOptions): Handler {
  const transcribe = transcriptionHandler(options);
  const speak = speechHandler(options);
  return async (job, context): Promise<unknown> => {
    // First of all: a job with credentials is told so, and not that a field is unknown.
    await options.buckets?.forJob(job);
    const handle = kindOf(job.input) === 'transcription' ? transcribe : speak;
    return handle(job, context);
  };
}

/**
 * Which kind of job an input asks for.
 * @throws JobError JOB_INVALID where it asks for none, or for both.
 */
export function kindOf(input: unknown): JobKind {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new JobError(
      'JOB_INVALID',
      `The job's input must be an object such as {"audio": "https://..."}, not ${Array.isArray(input) ? 'an array' : `a ${typeof input}`}`,
    );
  }
  // Clients of the official worker write unused keys down as null.
  const sent = new Map<string, unknown>(
    Object.entries(input).filter(([, value]) => value !== null && value !== undefined),
  );
  if (sent.has('openai_route') || sent.has('openai_input')) {
    throw new JobError(
      'JOB_INVALID',
      "This worker does not serve RunPod's OpenAI route (/openai/v1/...). Send the job to /run or /runsync, with audio or audio_base64 in its input",
    );
  }
  const speech = sent.has('text');
  const transcription = sent.has('audio') || sent.has('audio_base64');
  if (speech && transcription) {
    throw new JobError(
      'JOB_INVALID',
      'Must provide either text (speech) or audio or audio_base64 (a transcription), not both. The voice to speak with goes into reference_audio',
    );
  }
  if (!speech && !transcription) {
    throw new JobError(
      'JOB_INVALID',
      'Must provide either audio or audio_base64 (a URL, or the bytes of a file in base64: a transcription), or text (speech)',
    );
  }
  return speech ? 'speech' : 'transcription';
}
