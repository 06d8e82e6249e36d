// Compiles TypeScript to dist/ (ESM), then bundles the public entry points for CommonJS consumers.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { build } from 'esbuild';

const SOURCES = ['lib', 'src', 'test'];
// Inside dist/, so that who deletes dist/ deletes what the compiler remembers of it, too.
const MEMORY = 'dist/.tsbuildinfo';

function sources() {
  return SOURCES.flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
      .map((name) => join(folder, name)),
  );
}

/** What is compiled of sources that are gone would still be run and published. */
function removeStale(expected) {
  for (const folder of SOURCES.filter((name) => existsSync(join('dist', name)))) {
    for (const name of readdirSync(join('dist', folder), { recursive: true })) {
      const path = join('dist', folder, name);
      const stem = path.replace(/\.(d\.ts|js|js\.map)$/, '');
      if (stem !== path && !expected.has(stem)) rmSync(path);
    }
  }
}

const expected = new Set(sources().map((path) => join('dist', path.replace(/\.ts$/, ''))));
removeStale(expected);
// The compiler does not look whether what it wrote last time is still there.
if ([...expected].some((stem) => !existsSync(`${stem}.js`))) rmSync(MEMORY, { force: true });
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const compiled = spawnSync(
  process.execPath,
  [tsc, '-p', 'tsconfig.json', '--incremental', '--tsBuildInfoFile', MEMORY],
  { stdio: 'inherit' },
);
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

rmSync('dist/cjs', { recursive: true, force: true });
const entries = {
  index: 'dist/lib/index.js',
  runpod: 'dist/src/runpod/index.js',
  schema: 'dist/src/jobs/schema.js',
};
await build({
  entryPoints: entries,
  outdir: 'dist/cjs',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  sourcemap: true,
  logLevel: 'warning',
  // What the modules use import.meta.url for is to find the package's root: either file is inside it.
  banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
  define: { 'import.meta.url': 'importMetaUrl' },
});
// The same declarations once more, as CommonJS: a nested package.json makes them that.
for (const folder of ['lib', 'src']) {
  cpSync(join('dist', folder), join('dist/cjs/types', folder), {
    recursive: true,
    filter: (path) => !/\.(js|map)$/.test(path),
  });
}
writeFileSync('dist/cjs/types/package.json', '{ "type": "commonjs" }\n');
for (const [name, path] of Object.entries(entries)) {
  const declarations = `./types/${path.replace(/^dist\//, '')}`;
  writeFileSync(`dist/cjs/${name}.d.cts`, `export * from '${declarations}';\n`);
}
