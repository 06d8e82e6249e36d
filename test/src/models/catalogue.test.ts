import assert from 'node:assert/strict';
import { test } from 'node:test';
import { catalogueEntry, modelNames, parseModelName } from '../../../src/models/catalogue.js';
import { filesToFetch, missingFrom } from '../../../src/models/files.js';

test('every name is known with and without its prefix', () => {
  for (const name of modelNames()) {
    const entry = catalogueEntry(name);
    assert.ok(entry, name);
    assert.equal(catalogueEntry(`whisper-${name}`), entry);
    assert.match(entry.repository, /^(openai|distil-whisper)\/[\w.-]+$/);
    assert.ok(entry.bytes > 100e6 && entry.bytes < 7e9, name);
  }
});

test('aliases and odd names lead to their repositories', () => {
  const repositories = {
    turbo: 'openai/whisper-large-v3-turbo',
    large: 'openai/whisper-large-v3',
    'large-v1': 'openai/whisper-large',
    'whisper-tiny.en': 'openai/whisper-tiny.en',
    'distil-large-v3.5': 'distil-whisper/distil-large-v3.5',
    'Systran/faster-whisper-base': 'Systran/faster-whisper-base',
  };
  for (const [name, repository] of Object.entries(repositories)) {
    assert.deepEqual(
      { repository: parseModelName(name).repository, revision: parseModelName(name).revision },
      { repository, revision: 'main' },
    );
  }
  assert.deepEqual(parseModelName('org/name@v1.2'), {
    ...{ name: 'org/name', repository: 'org/name', revision: 'v1.2' },
  });
});

test('mirrors are pinned in every file', () => {
  for (const name of ['base', 'tiny.en']) {
    const mirror = catalogueEntry(name)?.mirror;
    assert.ok(mirror);
    for (const requirement of mirror.requirements) assert.match(requirement, /^[\w-]+==[\d.]+$/);
    for (const file of mirror.files) assert.match(file.sha256, /^[0-9a-f]{64}$/);
    assert.deepEqual(missingFrom(mirror.files.map(({ path }) => path)), []);
  }
});

test('an unknown name is refused with what comes near', () => {
  assert.throws(() => parseModelName('whisper-bas'), {
    code: 'MODEL_UNKNOWN',
    message: /Did you mean base/,
  });
  assert.throws(() => parseModelName('xyzzy'), { code: 'MODEL_UNKNOWN', message: /tiny\.en/ });
});

test('what is no name of a repository never becomes a path or URL', () => {
  for (const name of [
    ...['', 'constructor', '__proto__', '../../etc', 'a/../b', 'a/b/c', 'a/b@../c', 'a--b/c'],
    ...[
      'a/b?x=1',
      'a/b#c',
      'a b/c',
      'https://host/a',
      './a/..',
      '.hidden/b',
      `${'a'.repeat(300)}/b`,
    ],
  ]) {
    assert.throws(() => parseModelName(name), { code: 'MODEL_UNKNOWN' }, name);
  }
});

test('one set of weights is chosen from a repository', () => {
  const common = ['config.json', 'tokenizer.json'];
  const noise = ['README.md', 'pytorch_model.bin', 'flax_model.msgpack', 'vocab.json'];
  const fp32 = ['model.fp32-00001-of-00002.safetensors', 'model.safetensors.index.fp32.json'];
  assert.deepEqual(filesToFetch([...noise, ...fp32, ...common, 'model.safetensors', 'model.bin']), [
    ...common,
    'model.safetensors',
  ]);
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  assert.deepEqual(filesToFetch([...common, ...shards, ...fp32, 'model.safetensors.index.json']), [
    ...common,
    'model.safetensors.index.json',
    ...shards,
  ]);
  assert.deepEqual(filesToFetch([...noise, ...common, 'model.bin', 'vocabulary.txt']), [
    ...common,
    'model.bin',
    'vocabulary.txt',
  ]);
  assert.deepEqual(missingFrom(filesToFetch(['config.json'])), [
    'tokenizer.json',
    'model.safetensors or model.bin',
  ]);
});
