/** Ctrl-C for commands that clean up after themselves. */

/** A command was ended by a signal; main exits with 128 and the signal's number, as shells do. */
export class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signal: 'SIGINT' | 'SIGTERM') {
    super(signal === 'SIGINT' ? 'interrupted' : 'terminated');
    this.exitCode = signal === 'SIGINT' ? 130 : 143;
  }
}

/**
 * Runs `action` with a signal that SIGINT and SIGTERM abort. The promise then rejects with
 * Interrupted once `action` has cleaned up; a second signal ends the process at once.
 */
export async function untilInterrupted<Result>(
  action: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const stop = (signal: 'SIGINT' | 'SIGTERM'): void => {
    const interrupted = new Interrupted(signal);
    if (controller.signal.aborted) process.exit(interrupted.exitCode);
    controller.abort(interrupted);
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    return await action(controller.signal);
  } catch (error) {
    // What fails because of the signal may say so in many ways.
    controller.signal.throwIfAborted();
    throw error;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}
