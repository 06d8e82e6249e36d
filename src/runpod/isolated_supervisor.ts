/** Keeps one process ready: starts it, starts it again when it dies, and gives up at last. */
import { messageOf, VoxpodError } from '../../lib/errors.js';
import type { Logger } from '../log.js';
import { UnhealthyError } from './fitness.js';
import { IsolatedProcess, type Death } from './isolated_process.js';
import { unpackError, type ChildMessage } from './isolated_protocol.js';
import { backoff, pause } from './retry.js';

export interface SupervisorOptions {
  module: string;
  settings: unknown;
  env: NodeJS.ProcessEnv;
  log: Logger;
  restart: RestartPolicy;
  redact: (text: string) => string;
}

export interface RestartPolicy {
  /** Waits between starts that fail: the first, and the longest. */
  firstMs: number;
  maxMs: number;
  /** So many starts in a row may fail before the worker is given up. */
  attempts: number;
}

export interface SupervisorEvents {
  ready(process: IsolatedProcess): void;
  message(message: ChildMessage): void;
  /** The process that was ready has died. Returns whether a job was in it. */
  died(death: Death): boolean;
  /** It will never be ready again. */
  broken(error: VoxpodError): void;
}

type Start = { ready: true } | { ready: false; death: Death } | { ready: false; failure: unknown };

/** For a handler's `dispose`. */
const STOP_MS = 5000;
/** A process that lived this long does not crash in a loop. */
const STABLE_MS = 60_000;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #events: SupervisorEvents;
  readonly #stopping = new AbortController();
  #keeping: Promise<void> | undefined;
  #started: Promise<void> | undefined;
  #process: IsolatedProcess | undefined;

  constructor(options: SupervisorOptions, events: SupervisorEvents) {
    this.#options = options;
    this.#events = events;
  }

  /**
   * Resolves when the first process is ready, or with `stop`.
   * @throws UnhealthyError where a check of the module fails, or where it crashes again and again
   */
  start(): Promise<void> {
    this.#started ??= new Promise((resolve, reject) => {
      this.#keeping = this.#keep(resolve, reject).finally(resolve);
    });
    return this.#started;
  }

  /** Kills the process; another takes its place. */
  replace(): void {
    this.#process?.kill();
  }

  /** Ends the process in order, or by force where it does not end. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const process = this.#process;
    process?.send({ type: 'stop' });
    const killer = setTimeout(() => process?.kill(), STOP_MS);
    await this.#keeping;
    clearTimeout(killer);
  }

  async #keep(started: () => void, refused: (error: VoxpodError) => void): Promise<void> {
    const { log, restart } = this.#options;
    const { signal } = this.#stopping;
    let failures = 0;
    let first = true;
    const giveUp = (error: VoxpodError): void => {
      this.#events.broken(error);
      refused(error);
    };
    while (!signal.aborted) {
      const { begun, ended } = this.#launch();
      const outcome = await begun;
      const launched = performance.now();
      let what: string;
      if (outcome.ready) {
        started();
        first = false;
        const death = await ended;
        if (signal.aborted) return;
        what = described(death);
        const toBlame = this.#events.died(death);
        const stable = performance.now() - launched > STABLE_MS;
        failures = toBlame || stable ? 0 : failures + 1;
      } else if ('failure' in outcome) {
        this.#process?.kill();
        await ended;
        if (signal.aborted) return;
        if (first) {
          giveUp(asUnhealthy(outcome.failure));
          return;
        }
        failures += 1;
        what = `could not be started: ${messageOf(outcome.failure)}`;
      } else {
        if (signal.aborted) return;
        failures += 1;
        what = `${described(outcome.death)} before it was ready`;
      }
      if (failures >= restart.attempts) {
        const loop = crashLoop(failures, what);
        giveUp(first ? asUnhealthy(loop) : loop);
        return;
      }
      const wait = failures === 0 ? 0 : backoff(failures, restart);
      log.error(
        `The handler's process ${what}; starting it again${wait > 0 ? ` in ${(wait / 1000).toFixed(1)} s` : ''}.`,
      );
      await pause(wait, signal);
    }
  }

  /** Starts a process: how its start went, and how it died. Neither promise rejects. */
  #launch(): { begun: Promise<Start>; ended: Promise<Death> } {
    const { log, env, module, settings } = this.#options;
    let begin: (start: Start) => void = () => undefined;
    let end: (death: Death) => void = () => undefined;
    const begun = new Promise<Start>((resolve) => (begin = resolve));
    const ended = new Promise<Death>((resolve) => (end = resolve));
    const process = new IsolatedProcess(env, {
      line: (text, stream) => (stream === 'stderr' ? log.warn(text) : log.info(text)),
      message: (message) => {
        switch (message.type) {
          case 'ready':
            this.#events.ready(process);
            return begin({ ready: true });
          case 'failed':
            return begin({
              ready: false,
              failure: new UnhealthyError(message.check, unpackError(message.error)),
            });
          case 'log': {
            const { requestId, level, message: text } = message;
            return (requestId === null ? log : log.forRequest(requestId))[level](text);
          }
          default:
            return this.#events.message(message);
        }
      },
      died: (raw) => {
        const death = { ...raw, lastWords: this.#options.redact(raw.lastWords) };
        begin({ ready: false, death });
        end(death);
      },
    });
    this.#process = process;
    process.send({ type: 'start', module, settings });
    return { begun, ended };
  }
}

/** "ended with signal SIGABRT (its last lines: ...)" */
export function described({ how, lastWords }: Death): string {
  return `ended with ${how}${lastWords === '' ? '' : ` (its last lines: ${lastWords.replace(/\n/g, ' | ')})`}`;
}

function crashLoop(failures: number, what: string): VoxpodError {
  return new VoxpodError(
    'ENGINE_CRASHED',
    `The handler's process was started ${failures} times in a row without success. The last time it ${what}`,
  );
}

function asUnhealthy(error: unknown): UnhealthyError {
  return error instanceof UnhealthyError ? error : new UnhealthyError('start', error);
}
