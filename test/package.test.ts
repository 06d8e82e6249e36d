/** The package as its consumers see it: both module systems, types, and what is published. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { packageRoot } from '../lib/package_root.js';
import { tinyFolder, whyNotReal } from './src/models/real.js';

const bundle = join(packageRoot(), 'dist', 'cjs', 'index.cjs');
const skip = !existsSync(bundle) && 'dist/ is not built (npm run build:ts)';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'voxpod-consumer-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(packageRoot(), join(folder, 'node_modules', 'voxpod'));
  symlinkSync(
    join(packageRoot(), 'node_modules', '@types'),
    join(folder, 'node_modules', '@types'),
  );
});
after(() => {
  rmSync(folder, { recursive: true });
});

/** Runs a file of the consumer's and returns what it prints as JSON. */
function run(
  name: string,
  content: string,
  env: NodeJS.ProcessEnv = { VOXPOD_ADDON: folder },
): unknown {
  writeFileSync(join(folder, name), content);
  const child = spawnSync(process.execPath, [join(folder, name)], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  assert.equal(child.status, 0, child.stderr);
  return JSON.parse(child.stdout);
}

describe('a consumer', { skip }, () => {
  for (const entry of ['voxpod', 'voxpod/runpod', 'voxpod/schema']) {
    it(`gets the same names from ${entry} by import and by require`, () => {
      const imported = run(
        'names.mjs',
        `import * as all from '${entry}'; console.log(JSON.stringify(Object.keys(all).sort()));`,
      ) as string[];
      const required = run(
        'names.cjs',
        `console.log(JSON.stringify(Object.keys(require('${entry}')).sort()));`,
      ) as string[];
      assert(imported.length > 0);
      assert.deepEqual(required, imported);
    });
  }

  it('gets working code from both: the package is found from the bundle, too', () => {
    const use = `Whisper.load('/nowhere').then(() => null, (error) => error)
      .then((error) => console.log(JSON.stringify({ code: error.code, ours: error instanceof VoxpodError })));`;
    // The folder is looked at first; or the addon is, of which VOXPOD_ADDON names none.
    const esm = run('use.mjs', `import { Whisper, VoxpodError } from 'voxpod';\n${use}`);
    const cjs = run('use.cjs', `const { Whisper, VoxpodError } = require('voxpod');\n${use}`);
    assert.equal((esm as { ours: boolean }).ours, true);
    assert.match((esm as { code: string }).code, /^(MODEL|ADDON)_NOT_FOUND$/);
    assert.deepEqual(cjs, esm);
  });

  it('gets the same schemas from both', () => {
    const print = `console.log(JSON.stringify(schema));`;
    const esm = run('schema.mjs', `import * as schema from 'voxpod/schema';\n${print}`);
    const cjs = run('schema.cjs', `const schema = require('voxpod/schema');\n${print}`);
    const { speechInput } = esm as { speechInput: { required: string[] } };
    assert.deepEqual(speechInput.required, ['text']);
    assert.deepEqual(cjs, esm);
  });

  it('loads nothing native with voxpod/runpod and voxpod/schema', () => {
    for (const name of ['runpod', 'schema']) {
      const map = readFileSync(join(packageRoot(), 'dist', 'cjs', `${name}.cjs.map`), 'utf8');
      const { sources } = JSON.parse(map) as { sources: string[] };
      assert(sources.length > 1, sources.join());
      const native = sources.filter((source) => /lib\/(binding|native|index)\.ts$/.test(source));
      assert.deepEqual(native, [], name);
    }
  });

  it('finds the threads of the library from both', { skip: whyNotReal(false) }, () => {
    const use = `Whisper.load(${JSON.stringify(tinyFolder)}, { threads: 1 }).then(async (whisper) => {
      await whisper.dispose();
      console.log(JSON.stringify(whisper.info.languages));
    });`;
    const real = { VOXPOD_ADDON: process.env['VOXPOD_ADDON'] };
    assert.deepEqual(run('load.mjs', `import { Whisper } from 'voxpod';\n${use}`, real), ['en']);
    assert.deepEqual(run('load.cjs', `const { Whisper } = require('voxpod');\n${use}`, real), [
      'en',
    ]);
  });

  it('is type-checked in both, and told of a wrong option', () => {
    const use = `
      const options: WhisperOptions = { device: 'cpu', dtype: 'bfloat16' };
      // @ts-expect-error: there is no such type to compute in
      const wrong: WhisperOptions = { dtype: 'int3' };
      const error: VoxpodError = new VoxpodError('MODEL_INVALID', 'why');
      const code: 'nothing' | ErrorCode = error.code;
      export async function text(file: string): Promise<string> {
        const whisper = await Whisper.load('folder', options);
        const transcript = await whisper.transcribe(file, { language: 'en' });
        // @ts-expect-error: a text is no number
        const number: number = transcript.text;
        return [transcript.text, code, number, wrong].join();
      }`;
    const head = `import { Whisper, VoxpodError, type ErrorCode, type WhisperOptions } from 'voxpod';
      import * as runpod from 'voxpod/runpod';
      import { transcriptionInput } from 'voxpod/schema';
      export const names: string[] = [...Object.keys(runpod), ...(transcriptionInput.required ?? [])];`;
    for (const name of ['types.mts', 'types.cts']) writeFileSync(join(folder, name), head + use);
    const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
    for (const module of ['nodenext', 'node16']) {
      const args = [
        '--noEmit',
        '--strict',
        '--skipLibCheck',
        '--types',
        'node',
        '--target',
        'es2022',
      ];
      const checked = spawnSync(
        process.execPath,
        [
          compiler,
          ...args,
          '--module',
          module,
          '--moduleResolution',
          module,
          'types.mts',
          'types.cts',
        ],
        { cwd: folder, encoding: 'utf8' },
      );
      assert.equal(checked.status, 0, checked.stdout);
    }
  });
});

it('publishes what runs and what is compiled, and no tests', { skip }, () => {
  const packed = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: packageRoot(),
    encoding: 'utf8',
  });
  assert.equal(packed.status, 0, packed.stderr);
  const [{ files }] = JSON.parse(packed.stdout) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  for (const needed of [
    'LICENSE',
    'README.md',
    'CMakeLists.txt',
    'binding.gyp',
    'native/install.mjs',
    'native/build.mjs',
    'native/CMakeLists.txt',
    'native/loader/loader.cpp',
    'dist/lib/index.js',
    'dist/lib/index.d.ts',
    'dist/cjs/index.cjs',
    'dist/cjs/index.d.cts',
    'dist/cjs/runpod.cjs',
    'dist/cjs/runpod.d.cts',
    'dist/cjs/schema.cjs',
    'dist/cjs/schema.d.cts',
    'dist/src/cli/main.js',
  ]) {
    assert(paths.includes(needed), `${needed} is not published`);
  }
  assert.deepEqual(
    paths.filter((path) => /(^|\/)test\//.test(path) || path.endsWith('.tsbuildinfo')),
    [],
  );
});
