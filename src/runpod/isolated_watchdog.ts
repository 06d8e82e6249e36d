/**
 * Body of a thread in the process of an isolated handler: kills the process when its parent is gone.
 * The main thread learns that from its channel, but not while native code or an endless loop holds it.
 */
import { workerData } from 'node:worker_threads';

const EVERY_MS = 500;

if (typeof workerData === 'number') {
  setInterval(() => {
    // An orphan is given another parent.
    if (process.ppid !== workerData) process.kill(process.pid, 'SIGKILL');
  }, EVERY_MS);
}
