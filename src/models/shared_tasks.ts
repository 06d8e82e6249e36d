import { untilAborted } from '../abort.js';

/** Work that one performs and however many asked for wait on. */
export interface TaskCaller<Progress> {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

interface Task<Result, Progress> {
  result: Promise<Result>;
  callers: Set<TaskCaller<Progress>>;
  last: Progress | undefined;
  controller: AbortController;
}

/**
 * Runs at most one piece of work for each key. Every caller gets its result and its progress; one
 * that aborts leaves the others undisturbed, and the work is aborted when the last one has left.
 */
export class SharedTasks<Result, Progress> {
  readonly #tasks = new Map<string, Task<Result, Progress>>();

  async run(
    key: string,
    caller: TaskCaller<Progress>,
    work: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<Result>,
  ): Promise<Result> {
    caller.signal?.throwIfAborted();
    // The same options object may ask twice; each asking counts.
    const self = { ...caller };
    const task = this.#tasks.get(key) ?? this.#start(key, work);
    task.callers.add(self);
    if (task.last !== undefined) self.onProgress?.(task.last);
    try {
      return await untilAborted(task.result, self.signal);
    } finally {
      task.callers.delete(self);
      if (task.callers.size === 0) {
        // Whoever asks from now on starts anew instead of joining work that is being given up.
        if (this.#tasks.get(key) === task) this.#tasks.delete(key);
        task.controller.abort();
      }
    }
  }

  #start(
    key: string,
    work: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<Result>,
  ): Task<Result, Progress> {
    const controller = new AbortController();
    const callers = new Set<TaskCaller<Progress>>();
    const task: Task<Result, Progress> = {
      callers,
      controller,
      last: undefined,
      result: Promise.resolve().then(() =>
        work(controller.signal, (progress) => {
          task.last = progress;
          for (const caller of callers) caller.onProgress?.(progress);
        }),
      ),
    };
    this.#tasks.set(key, task);
    const forget = (): void => {
      if (this.#tasks.get(key) === task) this.#tasks.delete(key);
    };
    task.result.then(forget, forget);
    return task;
  }
}
