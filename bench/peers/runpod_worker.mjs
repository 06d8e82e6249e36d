// An empty handler on voxpod's worker: CONCURRENCY
import { runWorker } from '../../dist/src/runpod/index.js';

await runWorker({ handler: () => ({ ok: true }), concurrency: Number(process.argv[2]) });
