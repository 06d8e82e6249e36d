// Runs node:test over the compiled tests. Arguments go on to node: `-- --test-name-pattern=wav`.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

if (!existsSync('dist/test')) {
  console.error('voxpod: there is no dist/ yet: run `npm run setup` first.');
  process.exit(1);
}
const files = readdirSync('dist/test', { recursive: true })
  .filter((name) => name.endsWith('.test.js') && !name.startsWith('parity/'))
  .sort()
  .map((name) => join('dist/test', name));
// Each file has a process of its own, and those that compute take all cores by themselves.
const concurrency = Math.max(1, Math.min(2, availableParallelism() >> 1));
const run = spawnSync(
  process.execPath,
  [
    '--test',
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${15 * 60_000}`,
    ...process.argv.slice(2),
    ...files,
  ],
  { stdio: 'inherit' },
);
process.exit(run.status ?? 1);
