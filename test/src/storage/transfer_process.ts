/**
 * A process that downloads or uploads a model, for tests that kill it:
 *   node transfer_process.js down|up SETTINGS FOLDER
 */
import { Bucket } from '../../../src/storage/bucket.js';
import type { BucketSettings } from '../../../src/storage/bucket_environment.js';
import { ModelSync } from '../../../src/storage/model_sync.js';
import { COMMIT, REPOSITORY, sourceOf } from './stored_model.js';

const [task, settings = '{}', folder = ''] = process.argv.slice(2);
const bucket = new Bucket(JSON.parse(settings) as BucketSettings);
if (task === 'down') {
  const { fetch, context } = sourceOf(bucket);
  context.onProgress = (bytes) => console.log(bytes);
  await fetch(folder);
} else {
  const say = (line: string): void => console.log(line);
  const sync = new ModelSync(bucket, {
    settleMs: 300,
    staleMs: 2000,
    log: { info: say, warn: say },
  });
  sync.add({ repository: REPOSITORY, commit: COMMIT, folder });
  await sync.done();
}
await bucket.dispose();
