/** `voxpod models`: fetches, lists, checks and deletes models. */
import type { Command } from 'commander';
import { ModelError, VoxpodError } from '../../lib/errors.js';
import type { ListedModel } from '../cache/cache.js';
import { createLogger } from '../log.js';
import { bucketSource } from '../models/bucket.js';
import {
  modelNameOf,
  parseModelName,
  repositoriesOf,
  wantedOf,
  type ModelReference,
} from '../models/catalogue.js';
import { modelFiles } from '../models/files.js';
import { ModelStore } from '../models/store.js';
import { Bucket } from '../storage/bucket.js';
import { readBucketEnvironment } from '../storage/bucket_environment.js';
import { uploadArtifact } from '../storage/bucket_upload.js';
import { formatBytes } from '../storage/disk.js';
import { modelUpload } from '../storage/model_sync.js';
import { untilInterrupted } from './interrupt.js';
import { ago, table } from './table.js';
import { TransferDisplay } from './transfer_display.js';

export function register(program: Command): void {
  const command = program.command('models').description('fetch, list, check and delete models');
  command
    .command('pull')
    .description('fetch models into the best tier: from the bucket, the hub or the mirror')
    .argument('<name...>', 'of the catalogue, or a repository of the Hugging Face hub')
    .action((names: string[]) => untilInterrupted((signal) => pull(names, signal)));
  command
    .command('push')
    .description('store models of the tiers in the bucket; what is there already is not sent again')
    .argument('<name...>', 'as for pull')
    .option('--replace', 'send every file again, for a copy in the bucket that is damaged', false)
    .action((names: string[], { replace }: { replace: boolean }) =>
      untilInterrupted((signal) => push(names, replace, signal)),
    );
  command
    .command('list')
    .description('models in the tiers and in the caches of other tools')
    .option('--json', 'as JSON', false)
    .action(({ json }: { json: boolean }) => list(json));
  command
    .command('verify')
    .description(
      'read every byte; what is corrupt is put aside and fetched again when it is wanted',
    )
    .argument('[name...]', 'default: all')
    .action((names: string[]) => untilInterrupted((signal) => verify(names, signal)));
  command
    .command('rm')
    .description('delete models from every tier')
    .argument('<name...>')
    .option('--force', 'also where a living process uses it', false)
    .action((names: string[], { force }: { force: boolean }) => remove(names, force));
}

async function pull(names: readonly string[], signal: AbortSignal): Promise<void> {
  // All names before anything of size is fetched.
  for (const name of names) parseModelName(name);
  for (const name of names) {
    const display = new TransferDisplay(name);
    try {
      const { folder, source } = await store().resolve(name, {
        signal,
        onProgress: ({ phase, bytes, total }) => {
          if (phase === 'wait') display.line(`${name}: another process fetches it; waiting.`);
          else display.update(name, bytes, total);
        },
      });
      display.clear();
      print(`${name}: ${source === 'cache' ? 'there already' : `from ${source}`}, ${folder}`);
    } finally {
      display.clear();
    }
  }
}

async function push(
  names: readonly string[],
  replace: boolean,
  signal: AbortSignal,
): Promise<void> {
  const environment = readBucketEnvironment();
  if (environment.settings === undefined) {
    throw new VoxpodError('BUCKET_NOT_CONFIGURED', `There is no bucket: ${environment.reason}`);
  }
  const bucket = new Bucket(environment.settings);
  try {
    const listed = await store().cache.list();
    for (const name of names) {
      const wanted = repositories(name);
      const model = listed.find(
        ({ repository, snapshots }) => wanted.includes(repository) && snapshots.length > 0,
      );
      const snapshot = model?.snapshots.find(({ problem }) => problem === undefined);
      if (model === undefined || snapshot === undefined) throw notFound([name]);
      const display = new TransferDisplay(name);
      const { repository } = model;
      const files = await modelFiles(wantedOf(repository), snapshot.folder);
      const upload = await modelUpload(bucket, { repository, files, ...snapshot });
      const { stored, bytes } = await uploadArtifact(bucket, upload, {
        ...{ signal, replace },
        onProgress: (dealt, total) => display.update(name, dealt, total),
      }).finally(() => display.clear());
      print(
        `${name}: ${formatBytes(stored)} of ${formatBytes(bytes)} sent to ${bucket.description}`,
      );
    }
  } finally {
    await bucket.dispose();
  }
}

async function list(json: boolean): Promise<void> {
  const models = await store().cache.list();
  if (json) {
    print(JSON.stringify(models, null, 2));
    return;
  }
  const columns = [
    { title: 'model' },
    { title: 'tier' },
    { title: 'size', right: true },
    { title: 'used' },
    { title: 'state' },
    { title: 'folder' },
  ];
  print(models.length === 0 ? 'There are no models yet.' : table(columns, models.map(row)));
}

function row(model: ListedModel): string[] {
  const { repository, tier, snapshots, bytes, lastUsed, leases, pinned } = model;
  const problems = snapshots.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
  const states = [
    ...(snapshots.length === 0 ? ['incomplete'] : problems),
    ...(leases > 0 ? ['in use'] : []),
    ...(pinned ? ['pinned'] : []),
  ];
  return [
    modelNameOf(repository),
    tier,
    tier === 'foreign' ? '-' : formatBytes(bytes),
    tier === 'foreign' ? '-' : ago(lastUsed),
    states.join(', ') || 'whole',
    snapshots[0]?.folder ?? '-',
  ];
}

async function verify(names: readonly string[], signal: AbortSignal): Promise<void> {
  const { cache } = store();
  const all = (await cache.list()).map(({ repository }) => repository);
  const wanted = names.length === 0 ? all : names.flatMap(repositories);
  let found = 0;
  for (const repository of new Set(wanted)) {
    for (const result of await cache.verify(repository, signal)) {
      found += 1;
      const { tier, folder, files, bytes, unknown, problem, quarantined } = result;
      const name = `${modelNameOf(repository)} (${tier})`;
      if (problem !== undefined) {
        process.exitCode = 1;
        print(`${name}: ${problem}${quarantined ? '; put aside' : ''}: ${folder}`);
        continue;
      }
      const rest = unknown.length === 0 ? '' : `; of ${unknown.length} more nothing is known`;
      print(`${name}: ${files} files, ${formatBytes(bytes)}, as published${rest}`);
    }
  }
  if (found === 0 && names.length > 0) throw notFound(names);
  if (found === 0) print('There are no models yet.');
}

async function remove(names: readonly string[], force: boolean): Promise<void> {
  const { cache } = store();
  for (const name of names) {
    const removed = (
      await Promise.all(repositories(name).map((repository) => cache.remove(repository, { force })))
    ).flat();
    if (removed.length === 0) throw notFound([name]);
    for (const { tier, bytes, outcome } of removed) {
      if (outcome === 'done') {
        print(`${name}: ${formatBytes(bytes)} deleted from ${tier}`);
        continue;
      }
      process.exitCode = 1;
      const why = outcome === 'leased' ? 'a process uses it (--force)' : 'it is being written';
      print(`${name}: stays in ${tier}: ${why}`);
    }
  }
}

function repositories(name: string): string[] {
  return repositoriesOf(parseModelName(name));
}

function notFound(names: readonly string[]): ModelError {
  return new ModelError(
    'MODEL_NOT_FOUND',
    `${names.join(', ')}: in no tier. \`voxpod models list\` shows what is there.`,
  );
}

function store(): ModelStore {
  const { settings } = readBucketEnvironment();
  const bucket = settings && new Bucket(settings);
  return new ModelStore({
    log: createLogger(),
    ...(bucket && { bucket: (model: ModelReference) => bucketSource(bucket, model) }),
  });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
