/** A model of the catalogue as the bucket may have it. */
import type { Bucket } from '../storage/bucket.js';
import { BucketSource } from '../storage/bucket_source.js';
import { repositoriesOf, type ModelReference } from './catalogue.js';

export function bucketSource(bucket: Bucket, model: ModelReference): BucketSource {
  const candidates = repositoriesOf(model).map((repository, at) => ({
    repository,
    // What a mirror has is not the hub's, commit by commit.
    revision: at === 0 ? model.revision : 'main',
  }));
  return new BucketSource(bucket, candidates);
}
