/** The contract of a module whose handler runs in a process of its own. */
import { invalidArgument } from '../../lib/errors.js';
import type { Logger } from '../log.js';
import type { FitnessCheck } from './fitness.js';
import type { EngineLoad } from './isolated_protocol.js';
import type { Handler } from './job.js';

/** What the module's `createHandler` is given, in the process of its own. */
export interface IsolatedContext {
  /** The `settings` of `isolatedHandler`. */
  settings: unknown;
  /** Lines reach the parent's log. */
  log: Logger;
  /** Tells how full the engine is; `concurrency` follows it. */
  report(load: EngineLoad): void;
  /** Aborts when the process must end. */
  signal: AbortSignal;
}

export interface IsolatedWork {
  handler: Handler;
  /** Run in order before the first job; one that fails means that this machine cannot serve. */
  checks?: readonly FitnessCheck[];
  /** Called at an orderly end, when no job runs. */
  dispose?(): void | Promise<void>;
}

/** What the module exports by the name of `createHandler`. */
export type CreateHandler = (
  context: IsolatedContext,
) => Handler | IsolatedWork | Promise<Handler | IsolatedWork>;

/** @throws ArgumentError INVALID_ARGUMENT where the module is not made for this. */
export async function moduleHandler(
  module: unknown,
  context: IsolatedContext,
): Promise<IsolatedWork> {
  const create =
    member(module, 'createHandler') ?? member(member(module, 'default'), 'createHandler');
  if (!isCreateHandler(create)) {
    throw invalidArgument('createHandler of the module', 'an exported function', create);
  }
  const made = await create(context);
  const work = typeof made === 'function' ? { handler: made } : made;
  if (typeof work?.handler !== 'function') {
    throw invalidArgument('the handler that createHandler returns', 'a function', work?.handler);
  }
  return work;
}

/** Steps through a generator of either kind, as `for await` does. */
export function chunksOf(
  generator: AsyncIterable<unknown> | Iterable<unknown>,
): AsyncIterator<unknown> {
  if (Symbol.asyncIterator in generator) return generator[Symbol.asyncIterator]();
  return (async function* () {
    yield* generator;
  })();
}

function member(value: unknown, name: string): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null)
    return undefined;
  return (value as Record<string, unknown>)[name];
}

function isCreateHandler(value: unknown): value is CreateHandler {
  return typeof value === 'function';
}
