import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseFiles } from '../../../src/models/files.js';
import {
  catalogueEntry,
  modelNameOf,
  modelNames,
  parseModelName,
  requireFamily,
} from '../../../src/models/catalogue.js';

test('every name is known with and without its prefix', () => {
  for (const name of modelNames('whisper')) {
    const entry = catalogueEntry(name);
    assert.ok(entry, name);
    assert.equal(catalogueEntry(`whisper-${name}`), entry);
    assert.match(entry.repository, /^(openai|distil-whisper)\/[\w.-]+$/);
    assert.ok(entry.bytes > 100e6 && entry.bytes < 7e9, name);
  }
});

test('every model has a place of its own in a cache, and its name back', () => {
  const places = new Map<string, string>();
  for (const name of modelNames()) {
    const { name: full, repository, revision } = parseModelName(name);
    const place = `${repository}@${revision}`;
    assert.equal(places.get(place) ?? full, full);
    places.set(place, full);
    if (revision === 'main') assert.equal(modelNameOf(repository), full);
  }
  for (const name of ['f5-tts', 'e2-tts', 'higgs-audio-v2', 'silero-vad']) {
    assert.ok(modelNames().includes(name), name);
    assert.ok(!modelNames('whisper').includes(name), name);
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
    ...{ name: 'org/name', repository: 'org/name', hub: 'org/name', revision: 'v1.2' },
    ...{ family: undefined, subfolder: undefined },
  });
});

test('mirrors are pinned in every file', () => {
  for (const name of ['base', 'tiny.en', 'silero-vad', 'pypinyin', 'f5-tts-vocabulary']) {
    const { family, subfolder, mirror } = catalogueEntry(name) ?? {};
    assert.ok(mirror);
    for (const requirement of mirror.requirements) assert.match(requirement, /^[\w-]+==[\d.]+$/);
    for (const file of mirror.files) assert.match(file.sha256, /^[0-9a-f]{64}$/);
    assert.deepEqual(chooseFiles({ family, subfolder }, mirror.files).lacks, []);
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

test('what is known not to transcribe is refused before it is fetched', () => {
  for (const name of ['f5-tts', 'SWivid/F5-TTS@main', 'silero-vad', 'higgs-audio-v2-original']) {
    assert.throws(() => requireFamily(name, 'whisper'), {
      code: 'MODEL_UNSUPPORTED',
      message: /cannot transcribe.*base.*turbo/,
    });
  }
  for (const name of ['turbo', 'whisper-base', 'openai/whisper-tiny', 'org/any@v1', '/a/folder']) {
    requireFamily(name, 'whisper');
  }
});

test('what is known not to speak is refused before it is fetched', () => {
  for (const name of ['base', 'vocos-mel-24khz', 'f5-tts-vocabulary', 'openai/whisper-tiny']) {
    assert.throws(() => requireFamily(name, 'f5-tts'), {
      code: 'MODEL_UNSUPPORTED',
      message: /cannot speak.*f5-tts-v1-base.*e2-tts/,
    });
  }
  for (const name of ['f5-tts', 'e2-tts', 'SWivid/F5-TTS', 'org/any', '/a/folder']) {
    requireFamily(name, 'f5-tts');
  }
});
