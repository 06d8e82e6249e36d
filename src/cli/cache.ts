/** `voxpod cache`: the tiers that models are kept in. */
import type { Command } from 'commander';
import type { TierStatus } from '../cache/cache.js';
import { createLogger } from '../log.js';
import { ModelStore } from '../models/store.js';
import { formatBytes } from '../storage/disk.js';
import { untilInterrupted } from './interrupt.js';
import { table } from './table.js';

export function register(program: Command): void {
  const command = program
    .command('cache')
    .description('the tiers that models are kept in: status, migration, clearing up');
  command
    .command('status')
    .description('what each tier holds, and what it has room for')
    .option('--json', 'as JSON', false)
    .action(({ json }: { json: boolean }) => status(json));
  command
    .command('migrate')
    .description(
      'copy models from tiers that are lost with this machine to the best one that lasts',
    )
    .option('--remove-source', 'delete the copy in the worse tier afterwards', false)
    .action(({ removeSource }: { removeSource: boolean }) =>
      untilInterrupted((signal) => migrate(removeSource, signal)),
    );
  command
    .command('gc')
    .description('delete what dead processes left, old quarantine, and models over the watermarks')
    .action(gc);
}

async function status(json: boolean): Promise<void> {
  const tiers = await store().cache.status();
  if (json) {
    print(JSON.stringify(tiers, null, 2));
    return;
  }
  const right = true;
  const columns = [
    { title: 'tier' },
    { title: 'models', right },
    { title: 'used', right },
    { title: 'room', right },
    { title: 'limit', right },
    { title: 'lasts' },
    { title: 'folder' },
  ];
  print(table(columns, tiers.map(row)));
}

function row(tier: TierStatus): string[] {
  const { problem, limitBytes } = tier;
  return [
    tier.name,
    String(tier.models),
    formatBytes(tier.usedBytes),
    problem === undefined ? formatBytes(tier.availableBytes) : '-',
    limitBytes === undefined ? '-' : formatBytes(limitBytes),
    tier.persistent ? 'yes' : 'no',
    problem === undefined ? tier.path : `${tier.path} (${problem})`,
  ];
}

async function migrate(removeSource: boolean, signal: AbortSignal): Promise<void> {
  const migrations = await store().cache.migrateAll({ removeSource, signal });
  if (migrations.length === 0) print('Every model is in the best tier already.');
  for (const migration of migrations) {
    if (migration.outcome === 'stays') {
      print(`${migration.repository} stays: ${migration.reason}`);
      continue;
    }
    const { repository, from, to, bytes, seconds } = migration;
    print(`${repository}: ${formatBytes(bytes)} from ${from} to ${to} in ${seconds.toFixed(1)} s`);
  }
}

async function gc(): Promise<void> {
  const { freedBytes, tiers } = await store().cache.gc();
  for (const { tier, problem } of tiers) {
    if (problem !== undefined) process.exitCode = 1;
    if (problem !== undefined) print(`${tier}: ${problem}`);
  }
  print(`${formatBytes(freedBytes)} were freed.`);
}

function store(): ModelStore {
  return new ModelStore({ log: createLogger() });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
