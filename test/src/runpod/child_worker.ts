/** A worker process for tests: its jobs say what to do. */
import { setTimeout as delay } from 'node:timers/promises';
import { runWorker } from '../../../src/runpod/index.js';

interface Input {
  sleep?: number;
  block?: number;
  square?: number;
}

await runWorker({
  concurrency: 8,
  handler: async (job, { signal }) => {
    const { sleep, block, square = 0 } = job.input as Input;
    if (block !== undefined) {
      const until = Date.now() + block;
      while (Date.now() < until);
    }
    if (sleep !== undefined) await delay(sleep, undefined, { signal });
    return square ** 2;
  },
});
