// npm's install script. It never compiles or downloads unless it is asked to
// (npm install --build-from-source), and never fails an installation otherwise.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const asked = process.env.npm_config_build_from_source;

function hasAddon(folder) {
  const path = join(root, folder);
  return existsSync(path) && readdirSync(path).some((name) => name.endsWith('.node'));
}

if (asked === 'true' || asked === 'voxpod') {
  const build = spawnSync(process.execPath, [join(root, 'native', 'build.mjs')], {
    stdio: 'inherit',
  });
  process.exit(build.status ?? 1);
}
if (existsSync(join(root, 'tsconfig.json'))) {
  console.log(
    'voxpod: this is a clone. `npm run setup` installs libtorch, `npm run build` compiles.',
  );
} else if (hasAddon('build/Release') || hasAddon(`prebuilds/${process.platform}-${process.arch}`)) {
  console.log(
    'voxpod: run `npx voxpod setup` once to install libtorch, and `npx voxpod info` to check.',
  );
} else {
  console.log(
    `voxpod: there is no prebuilt addon for ${process.platform}-${process.arch}. To build one:\n` +
      '  npx voxpod setup --headers && npm install --no-save cmake-js@8 && npm rebuild voxpod --build-from-source',
  );
}
