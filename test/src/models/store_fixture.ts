/** A store over a hub of its own that has one model. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  ModelStore,
  type ModelStoreOptions,
  type ResolvedModel,
} from '../../../src/models/store.js';
import { LocalHub, type LocalRepository } from '../storage/local_hub.js';
import { temporaryFolder } from '../storage/temporary.js';

const RETRY = { attempts: 2, pauseMs: 5 };

export interface Fixture {
  hub: LocalHub;
  endpoint: string;
  cache: string;
  repository: LocalRepository;
  store: (options?: ModelStoreOptions) => ModelStore;
}

export async function fixture(t: TestContext, weightBytes = 200_000): Promise<Fixture> {
  const hub = new LocalHub();
  const endpoint = await hub.listen();
  t.after(() => hub.close());
  const cache = await temporaryFolder(t);
  const repository: LocalRepository = {
    commit: randomBytes(20).toString('hex'),
    files: new Map([
      ['README.md', Buffer.from('# not fetched')],
      ['config.json', Buffer.from('{}')],
      ['tokenizer.json', randomBytes(3000)],
      ['model.safetensors', randomBytes(weightBytes)],
      ['pytorch_model.bin', randomBytes(1000)],
    ]),
  };
  hub.repositories.set('org/model', repository);
  return {
    ...{ hub, endpoint, cache, repository },
    store: (options = {}) =>
      new ModelStore({
        ...{ cacheDirectory: cache, hub: { endpoint, retry: RETRY }, env: {}, ...options },
      }),
  };
}

/** What lies in the cache beside the store's own records. */
export async function modelFolders(cache: string): Promise<string[]> {
  return (await readdir(join(cache, 'models'))).filter((name) => name !== '.voxpod');
}

export async function assertWhole(
  { folder }: ResolvedModel,
  repository: LocalRepository,
): Promise<void> {
  for (const name of ['config.json', 'tokenizer.json', 'model.safetensors']) {
    assert.deepEqual(await readFile(join(folder, name)), repository.files.get(name), name);
  }
}
