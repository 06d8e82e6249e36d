// voxpod's download or upload of one model in a process of its own.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Bucket } from '../../dist/src/storage/bucket.js';
import { BucketSource } from '../../dist/src/storage/bucket_source.js';
import { uploadArtifact } from '../../dist/src/storage/bucket_upload.js';
import { modelUpload } from '../../dist/src/storage/model_sync.js';
import { measure } from './s3_measure.mjs';

const [task, settings, folder] = process.argv.slice(2);
const bucket = new Bucket(JSON.parse(settings));
const context = { signal: new AbortController().signal, onProgress: () => {}, log: console.error };

await measure(
  async () => {
    // A start of the SDK and of a thread belong to a worker's cold start, whatever it fetches.
    if (task === 'up') return uploadOne();
    const source = new BucketSource(bucket, [{ repository: 'bench/model', revision: 'main' }]);
    await source.fetch(await source.list(context), folder, context);
  },
  // The SDK is in memory, as in a worker that has asked the bucket for anything before.
  () => bucket.presignedUrl('warm-up'),
);
await bucket.dispose();

async function uploadOne() {
  const [name] = readdirSync(folder);
  const model = { repository: 'bench/upload', commit: 'c'.repeat(40), folder, revision: 'main' };
  if (name === undefined) throw new Error(`nothing in ${join(folder)}`);
  await uploadArtifact(bucket, await modelUpload(bucket, model), { signal: context.signal });
}
