// clang-format over the native sources: reports what is not formatted, or with --fix formats it.
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const files = readdirSync('native', { recursive: true })
  .filter((name) => /\.(h|cpp|cu|inl)$/.test(name))
  .map((name) => join('native', name));
// The package's postinstall makes its binary executable; npm may have been told not to run it.
const binary = require('clang-format-node').clangFormatPath;
try {
  chmodSync(binary, 0o755);
} catch {
  // Somebody else's installation: then it is executable, or the run below says that it is not.
}
const mode = process.argv.includes('--fix') ? ['-i'] : ['--dry-run', '-Werror'];
const run = spawnSync(binary, [...mode, ...files], { stdio: 'inherit' });
if (run.error) console.error(`clang-format cannot be run: ${run.error.message}`);
process.exit(run.status ?? 1);
