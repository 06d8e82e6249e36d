/**
 * Fitness checks: what a worker makes sure of before it takes its first job. One that fails ends the
 * worker, after it has told the log and the platform which check it was and why.
 */
import { messageOf, VoxpodError } from '../../lib/errors.js';
import { redactor, type Logger } from '../log.js';
import { withQuery } from './environment.js';
import { exchange } from './http.js';

export interface FitnessCheck {
  name: string;
  /** Throws where this machine cannot serve. The signal aborts when the worker is told to end. */
  run(signal: AbortSignal): void | Promise<void>;
}

/** A check failed: this machine cannot serve. */
export class UnhealthyError extends VoxpodError {
  readonly check: string;

  constructor(check: string, cause: unknown) {
    super('UNHEALTHY', `The fitness check "${check}" failed: ${messageOf(cause)}`, { cause });
    this.check = check;
  }
}

/** Runs the checks in order. @throws UnhealthyError for the first that fails. */
export async function runChecks(
  checks: readonly FitnessCheck[],
  signal: AbortSignal,
): Promise<void> {
  for (const check of checks) {
    try {
      await check.run(signal);
    } catch (error) {
      throw error instanceof UnhealthyError ? error : new UnhealthyError(check.name, error);
    }
    if (signal.aborted) return;
  }
}

export interface UnhealthyReport {
  /** Undefined where the platform takes no pings. */
  pingUrl: string | undefined;
  /** Value of the Authorization header. */
  authorization: string | undefined;
  version: string;
  /** Its secrets are kept out of the report. */
  env: NodeJS.ProcessEnv;
  log: Logger;
}

/** As RunPod's SDK bounds them: the worker is about to end, and the reason goes into a URL. */
const PING_TIMEOUT_MS = 2000;
const MAX_REASON = 256;

/** Says why in one line of the log and in one ping. Never rejects. */
export async function reportUnhealthy(
  error: UnhealthyError,
  { pingUrl, authorization, version, env, log }: UnhealthyReport,
): Promise<void> {
  log.error(error.message.replace(/\s*\n\s*/g, ' | '));
  if (pingUrl === undefined) return;
  const reason = redactor(env)(messageOf(error.cause));
  const url = withQuery(pingUrl, {
    ...{ status: 'unhealthy', check: error.check },
    // By way of a buffer, because half a surrogate pair cannot be encoded.
    reason: Buffer.from([...reason].slice(0, MAX_REASON).join('')).toString(),
    runpod_version: version,
  });
  const headers: Record<string, string> =
    authorization === undefined ? {} : { Authorization: authorization };
  try {
    await exchange(url, { method: 'GET', headers, timeoutMs: PING_TIMEOUT_MS });
  } catch (problem) {
    log.debug(`The platform was not told: ${messageOf(problem)}`);
  }
}
