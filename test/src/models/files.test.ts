import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseModelName } from '../../../src/models/catalogue.js';
import { chooseFiles, type ListedFile } from '../../../src/models/files.js';

function sized(paths: readonly string[], size = 1000): ListedFile[] {
  return paths.map((path) => ({ path, size }));
}

test('one set of weights is chosen from a repository', () => {
  const choose = (paths: string[]): string[] => chooseFiles({}, sized(paths)).paths;
  const common = ['config.json', 'tokenizer.json'];
  const noise = [
    'README.md',
    'pytorch_model.bin',
    'flax_model.msgpack',
    'vocab.json',
    'a/model.bin',
  ];
  const fp32 = ['model.fp32-00001-of-00002.safetensors', 'model.safetensors.index.fp32.json'];
  assert.deepEqual(choose([...noise, ...fp32, ...common, 'model.safetensors', 'model.bin']), [
    ...common,
    'model.safetensors',
  ]);
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  assert.deepEqual(choose([...common, ...shards, ...fp32, 'model.safetensors.index.json']), [
    ...common,
    'model.safetensors.index.json',
    ...shards,
  ]);
  assert.deepEqual(choose([...noise, ...common, 'model.bin', 'vocabulary.txt']), [
    ...common,
    'model.bin',
    'vocabulary.txt',
  ]);
});

test('what is missing is named', () => {
  const lacks = (paths: string[]): string[] => chooseFiles({}, sized(paths)).lacks;
  assert.deepEqual(lacks(['config.json']), ['tokenizer.json', 'model.safetensors or model.bin']);
  const index = ['config.json', 'tokenizer.json', 'model.safetensors.index.json'];
  // A shard that a repository is still to get.
  assert.deepEqual(lacks([...index, 'model-00001-of-00002.safetensors']), [
    'model.safetensors or model.bin',
  ]);
});

test('of the many models in F5-TTS the one that is named is chosen', () => {
  const repository = sized([
    ...['.gitattributes', 'README.md', 'F5TTS_Base/model_1200000.pt'],
    ...['F5TTS_Base/model_1200000.safetensors', 'F5TTS_Base/vocab.txt'],
    ...['F5TTS_Base_bigvgan/model_1250000.pt', 'F5TTS_v1_Base/model_1250000.safetensors'],
    ...['F5TTS_v1_Base/vocab.txt', 'F5TTS_v1_Base_no_zero_init/model_1250000.safetensors'],
  ]);
  const choose = (name: string): string[] => {
    const { paths, lacks } = chooseFiles(parseModelName(name), repository);
    assert.deepEqual(lacks, [], name);
    return paths;
  };
  const v1 = ['F5TTS_v1_Base/model_1250000.safetensors', 'F5TTS_v1_Base/vocab.txt'];
  for (const name of ['f5-tts', 'f5-tts-v1-base', 'SWivid/F5-TTS']) {
    assert.deepEqual(choose(name), v1);
  }
  assert.deepEqual(choose('f5-tts-base'), [
    'F5TTS_Base/model_1200000.safetensors',
    'F5TTS_Base/vocab.txt',
  ]);
  assert.deepEqual(choose('f5-tts-base-bigvgan'), ['F5TTS_Base_bigvgan/model_1250000.pt']);
  assert.deepEqual(chooseFiles(parseModelName('e2-tts'), repository).lacks, [
    'E2TTS_Base/model_N.safetensors or model_N.pt',
  ]);
});

test("a community's F5-TTS is known by its files: safetensors first, then the last step", () => {
  const names = ['vocab.txt', 'model_900.pt', 'model_last.pt', 'model_80.safetensors', 'logs/a'];
  const more = [...names, 'model_100.safetensors', 'model_99.safetensors'];
  const { paths, lacks } = chooseFiles({}, sized(more));
  assert.deepEqual([paths, lacks], [['model_100.safetensors', 'vocab.txt'], []]);
  assert.deepEqual(chooseFiles({}, sized(['model_900.pt', 'model_last.pt'])).paths, [
    'model_last.pt',
  ]);
});

test('vocoders', () => {
  const vocos = ['README.md', 'config.yaml', 'pytorch_model.bin'];
  for (const wanted of [parseModelName('vocos-mel-24khz'), {}]) {
    assert.deepEqual(chooseFiles(wanted, sized(vocos)).paths, ['config.yaml', 'pytorch_model.bin']);
    assert.deepEqual(chooseFiles(wanted, sized([...vocos, 'model.safetensors'])).paths, [
      'config.yaml',
      'model.safetensors',
    ]);
  }
  assert.deepEqual(chooseFiles(parseModelName('vocos-mel-24khz'), sized(['config.yaml'])).lacks, [
    'model.safetensors or pytorch_model.bin',
  ]);
  const bigvgan = ['config.json', 'bigvgan_generator.pt', 'bigvgan_discriminator_optimizer.pt'];
  for (const wanted of [parseModelName('bigvgan-v2-24khz'), {}]) {
    assert.deepEqual(chooseFiles(wanted, sized(bigvgan)).paths, [
      'config.json',
      'bigvgan_generator.pt',
    ]);
  }
});

test('Higgs Audio in both formats, the original by its pinned revision', () => {
  const shards = [1, 2, 3].map((at) => `model-0000${at}-of-00003.safetensors`);
  const settings = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
  const index = 'model.safetensors.index.json';
  const original = [...settings, 'special_tokens_map.json', 'generation_config.json', index];
  const transformers = [...settings, 'processor_config.json', 'chat_template.jinja', index];
  for (const [name, files] of [
    ['higgs-audio-v2-original', original],
    ['higgs-audio-v2', transformers],
  ] as const) {
    const noise = ['LICENSE', 'README.md', 'images/a.png', 'vocab.json'];
    const { paths, lacks } = chooseFiles(
      parseModelName(name),
      sized([...noise, ...shards, ...files]),
    );
    assert.deepEqual([paths.toSorted(), lacks], [[...files, ...shards].toSorted(), []], name);
  }
  assert.match(parseModelName('higgs-audio-v2-original').revision, /^10840182[0-9a-f]{32}$/);
  assert.equal(parseModelName('higgs-audio-v2').revision, 'main');
});

test("Higgs Audio's tokenizer is never the language model that lay in its place", () => {
  const wanted = parseModelName('higgs-audio-v2-tokenizer');
  const common = sized(['config.json', 'README.md']);
  const pickle = sized(['model.pth'], 806_000_000);
  const choose = (files: ListedFile[]): string[] => chooseFiles(wanted, files).paths;
  assert.deepEqual(choose([...common, ...pickle]), ['config.json', 'model.pth']);
  assert.deepEqual(choose([...common, ...pickle, ...sized(['model.safetensors'], 806_000_000)]), [
    'config.json',
    'model.safetensors',
  ]);
  const language = sized(['model.safetensors'], 11_542_600_000);
  assert.deepEqual(choose([...common, ...pickle, ...language]), ['config.json', 'model.pth']);
  assert.equal(chooseFiles(wanted, [...common, ...language]).lacks.length, 1);
});
