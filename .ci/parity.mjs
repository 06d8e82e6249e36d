// npm run test:parity -- [family...]: holds voxpod against the reference's tensors and texts, which
// lie in the folder VOXPOD_GOLDENS, one folder for each family. All families where none is named.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

function fail(message) {
  console.error(`voxpod: ${message}`);
  process.exit(1);
}

const goldens = process.env.VOXPOD_GOLDENS;
if (!goldens) {
  fail(
    'VOXPOD_GOLDENS is not set. It names the folder with the reference values: whisper/, f5/, ...',
  );
}
if (!existsSync(goldens)) fail(`VOXPOD_GOLDENS: there is no folder ${goldens}`);
if (!existsSync('dist/test/parity') || !existsSync('build/cmake/CTestTestfile.cmake')) {
  fail('nothing is built yet: run `npm run setup` and `npm run build` first.');
}
// Without the addon every test would be skipped, which is no parity.
const { loadNative } = await import('../dist/lib/binding.js');
try {
  loadNative();
} catch (error) {
  fail(error.message);
}

const tests = readdirSync('dist/test/parity').filter((name) => name.endsWith('.test.js'));
const known = [...new Set(tests.map((name) => name.split(/[._]/)[0]))];
const families = process.argv.slice(2);
for (const family of families) {
  if (!known.includes(family))
    fail(`no parity tests for ${family}; there are: ${known.join(', ')}`);
  if (!existsSync(join(goldens, family))) fail(`there is no ${family}/ in ${goldens}`);
}
const chosen = families.length > 0 ? families : known;
const files = tests
  .filter((name) => chosen.some((family) => name.startsWith(family)))
  .map((name) => join('dist/test/parity', name));

const steps = [
  [
    'ctest',
    ['--test-dir', 'build/cmake', '--output-on-failure', '-L', 'parity', '-R', chosen.join('|')],
  ],
  [process.execPath, ['--test', '--test-concurrency=1', ...files]],
];
let failed = false;
for (const [command, args] of steps) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (error) console.error(`voxpod: ${command} cannot be run: ${error.message}`);
  failed ||= status !== 0;
}
process.exit(failed ? 1 : 0);
