// Builds the addon: finds libtorch as the addon itself will, and has cmake-js drive CMake.
// Run by `npm run build:native`, by binding.gyp (node-gyp-build, prebuildify) and by npm's
// --build-from-source. VOXPOD_BUILD_JOBS limits the parallel jobs, VOXPOD_BUILD_TYPE is Release.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
process.chdir(root);

function fail(message) {
  console.error(`voxpod: ${message}`);
  process.exit(1);
}

if (!existsSync('dist/lib/libtorch.js')) fail('there is no dist/ yet: run `npm run setup` first.');
const { findLibtorch, libtorchNotFound } = await import('../dist/lib/libtorch.js');
const { libtorch, rejected } = findLibtorch({ headers: true });
if (libtorch === null) {
  fail(
    `${libtorchNotFound(rejected).message}\n` +
      'Building needs its headers too: `npm run setup` (or `npx voxpod setup --headers`) installs both.',
  );
}

let cmakeJs;
try {
  cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
} catch {
  fail('building needs cmake-js: run `npm install --no-save cmake-js@8`.');
}

const jobs = process.env.VOXPOD_BUILD_JOBS || String(availableParallelism());
const common = [
  cmakeJs,
  '--out',
  'build/cmake',
  '--config',
  process.env.VOXPOD_BUILD_TYPE || 'Release',
];
// `cmake-js compile` would skip configuring when it was done once, with whatever libtorch that
// was, and would answer a compile error with a second, clean build; so the two steps by hand.
const steps = [
  ['configure', `--CDLIBTORCH=${libtorch.directory}`],
  ['build', '--parallel', jobs],
];
mkdirSync('build/Release', { recursive: true });
console.error(
  `voxpod: building against libtorch ${libtorch.version ?? ''} in ${libtorch.directory}`,
);
for (const step of steps) {
  const { status, error } = spawnSync(process.execPath, [...common, ...step], {
    stdio: 'inherit',
    env: { ...process.env, npm_config_loglevel: 'warn' },
  });
  if (error) fail(error.message);
  if (status !== 0) process.exit(status ?? 1);
}
for (const file of ['build/Release/voxpod.node', 'build/Release/voxpod_loader.so']) {
  if (!existsSync(file)) fail(`the build ended well but made no ${file}`);
}
