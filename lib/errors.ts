/**
 * Every error voxpod raises on purpose: a class per domain, a stable `code`, a message that says
 * what to do. Codes are part of the public interface: callers switch on them.
 */
export type ErrorCode =
  /** An option or argument is wrong: unknown name, wrong type, out of range. */
  | 'INVALID_ARGUMENT'
  | 'LANGUAGE_UNKNOWN'
  /** Used after `dispose`, or disposed while it ran. */
  | 'DISPOSED'
  /** The model's queue is full; try again later. */
  | 'QUEUE_FULL'
  /* Audio. */
  | 'AUDIO_NOT_FOUND'
  | 'AUDIO_EMPTY'
  | 'AUDIO_INVALID'
  | 'AUDIO_TOO_LARGE'
  | 'FFMPEG_MISSING'
  | 'FFMPEG_FAILED'
  /* Speaking. */
  | 'VOICE_UNKNOWN'
  /** A named voice's files are not as they should be. */
  | 'VOICE_INVALID'
  /* Model files. */
  | 'MODEL_NOT_FOUND'
  | 'MODEL_UNKNOWN'
  | 'MODEL_UNSUPPORTED'
  | 'MODEL_INVALID'
  | 'CHECKPOINT_CORRUPT'
  | 'TOKENIZER_INVALID'
  /* The addon and libtorch. */
  | 'LIBTORCH_NOT_FOUND'
  | 'LIBTORCH_MISMATCH'
  | 'ADDON_NOT_FOUND'
  | 'DEVICE_UNAVAILABLE'
  | 'OUT_OF_MEMORY'
  | 'NATIVE_FAILURE'
  /* Set-up and downloads. */
  | 'SETUP_FAILED'
  | 'DOWNLOAD_FAILED'
  | 'DOWNLOAD_TOO_LARGE'
  | 'DOWNLOAD_TIMEOUT'
  | 'URL_FORBIDDEN'
  | 'CHECKSUM_MISMATCH'
  /** Too little space for what is to be written. */
  | 'DISK_FULL'
  /* Jobs. */
  | 'JOB_INVALID'
  | 'JOB_FAILED'
  /** Stopped by the platform (cancelled, expired), or cut off by the end of the worker. */
  | 'JOB_STOPPED'
  | 'JOB_ABORTED'
  /** The process that ran the handler died (a crash of native code, say). */
  | 'ENGINE_CRASHED'
  /** A fitness check failed: this machine cannot serve. */
  | 'UNHEALTHY'
  /* The bucket. */
  | 'BUCKET_NOT_CONFIGURED'
  | 'BUCKET_FAILED'
  /** Credentials came in a job. */
  | 'CREDENTIALS_FORBIDDEN'
  /** What a handler returned: has no JSON form, is over the limit, was refused by the platform. */
  | 'RESULT_INVALID'
  | 'RESULT_TOO_LARGE'
  | 'RESULT_REFUSED';

/** Base of all voxpod errors. */
export class VoxpodError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A caller's argument is wrong. */
export class ArgumentError extends VoxpodError {}
/** The audio cannot be read. */
export class AudioError extends VoxpodError {}
/** A model's files cannot be found, read or understood. */
export class ModelError extends VoxpodError {}
/** The addon, libtorch or the device failed. */
export class NativeError extends VoxpodError {}
/** Something could not be fetched or installed. */
export class DownloadError extends VoxpodError {}
/** A job's input is wrong, or the job failed. */
export class JobError extends VoxpodError {}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** "Expected <expected> for <name> but received <value> of type <type>". */
export function invalidArgument(name: string, expected: string, received: unknown): ArgumentError {
  const shown = typeof received === 'string' ? JSON.stringify(received) : String(received);
  return new ArgumentError(
    'INVALID_ARGUMENT',
    `Expected ${expected} for ${name} but received ${shown.slice(0, 100)} of type ${received === null ? 'null' : typeof received}`,
  );
}
