/**
 * The worker's log: JSON lines on standard output under RunPod, whose console reads them, and plain
 * lines on standard error elsewhere, where standard output belongs to results.
 */
const LEVELS = { TRACE: 5, DEBUG: 10, INFO: 20, WARN: 30, ERROR: 40 } as const;

export type LogLevel = keyof typeof LEVELS;

export interface Logger {
  trace(message: string): void;
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
  /** The same log with every line marked as belonging to this job. */
  forRequest(requestId: string): Logger;
}

export interface LoggerOptions {
  /** RUNPOD_ENDPOINT_ID chooses the format, RUNPOD_LOG_LEVEL or RUNPOD_DEBUG_LEVEL the level. */
  env?: NodeJS.ProcessEnv;
  /** Gets each line with its newline; default standard output (JSON) or standard error. */
  write?: (line: string) => void;
}

/** RunPod's console cuts long lines, so longer messages lose their middle (limit of its own SDK). */
const MAX_MESSAGE = 4096;

export function createLogger(options: LoggerOptions = {}): Logger {
  const env = options.env ?? process.env;
  const json = Boolean(env['RUNPOD_ENDPOINT_ID']);
  const stream = json ? process.stdout : process.stderr;
  const write = options.write ?? ((line: string): void => void stream.write(line));
  const level = env['RUNPOD_LOG_LEVEL'] || env['RUNPOD_DEBUG_LEVEL'] || 'INFO';
  const threshold = thresholdOf(level);
  const redact = redactor(env);

  const loggerFor = (requestId: string | null): Logger => {
    const emit = (name: LogLevel, message: string): void => {
      if (LEVELS[name] < (threshold ?? LEVELS.INFO)) return;
      const text = shorten(redact(message));
      if (json) {
        write(JSON.stringify({ requestId, message: text, level: name }) + '\n');
      } else {
        write(`${name.padEnd(7)}| ${requestId === null ? '' : `${requestId} | `}${text}\n`);
      }
    };
    return {
      trace: (message) => emit('TRACE', message),
      debug: (message) => emit('DEBUG', message),
      info: (message) => emit('INFO', message),
      warn: (message) => emit('WARN', message),
      error: (message) => emit('ERROR', message),
      forRequest: (id) => loggerFor(id),
    };
  };
  const logger = loggerFor(null);
  if (threshold === undefined) {
    logger.warn(
      `RUNPOD_LOG_LEVEL: expected one of NOTSET, ${Object.keys(LEVELS).join(', ')} but received ${JSON.stringify(level)}; logging at INFO`,
    );
  }
  return logger;
}

/** NOTSET silences the log, as in RunPod's SDK; a number or unknown name is undefined. */
function thresholdOf(level: string): number | undefined {
  const name = level.toUpperCase();
  if (name === 'NOTSET') return Infinity;
  return Object.entries(LEVELS).find(([key]) => key === name)?.[1];
}

/** Names of variables whose values never appear in a log. */
const SECRET_NAME = /KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL/;
/** Query parameters that authorise whoever holds the link: presigned S3 and Azure URLs and the like. */
const SECRET_PARAMETER =
  /([?&](?:x-amz-[a-z-]+|signature|sig|token|key|key-pair-id|access_token|api_key)=)[^&\s"'<>]+/gi;

/** Blacks out the values of secret variables, and what authorises in links, before text leaves. */
export function redactor(env: NodeJS.ProcessEnv): (text: string) => string {
  // Short values ("1", "true") would black out harmless text.
  const secrets = Object.entries(env)
    .filter(([name]) => SECRET_NAME.test(name))
    .map(([, value]) => value ?? '')
    .filter((value) => value.length >= 8)
    .sort((a, b) => b.length - a.length);
  return (text) => {
    let clean = text;
    for (const secret of secrets) clean = clean.replaceAll(secret, '***');
    return clean.replace(SECRET_PARAMETER, '$1***');
  };
}

function shorten(text: string): string {
  if (text.length <= MAX_MESSAGE) return text;
  const half = MAX_MESSAGE / 2;
  const cut = text.length - MAX_MESSAGE;
  return `${text.slice(0, half)}\n...TRUNCATED ${cut} CHARACTERS...\n${text.slice(-half)}`;
}
