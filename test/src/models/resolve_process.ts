/** A process that resolves a model: CACHE ENDPOINT NAME. Prints the result as JSON. */
import { ModelStore } from '../../../src/models/store.js';

const [cacheDirectory = '', endpoint = '', name = ''] = process.argv.slice(2);
const store = new ModelStore({ cacheDirectory, hub: { endpoint }, env: {} });
const result = await store.resolve(name, {
  onProgress: ({ phase, bytes }) => process.stderr.write(`${phase} ${bytes}\n`),
});
process.stdout.write(JSON.stringify(result));
