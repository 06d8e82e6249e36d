/** Which files make a model of each family: what is fetched of a repository, what a folder lacks. */
import { readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { latestCheckpoint } from '../../lib/f5/checkpoint_name.js';
import { ignoreMissing } from '../storage/paths.js';

export type Family =
  | 'whisper'
  | 'silero-vad'
  | 'f5-tts'
  | 'f5-tts-vocabulary'
  | 'pypinyin'
  | 'vocos'
  | 'bigvgan'
  | 'higgs-audio'
  | 'higgs-audio-codec';

/** What is looked for in a repository or folder. */
export interface Wanted {
  /** Undefined: whichever the files fit. */
  family?: Family | undefined;
  /** The one folder to take, of a repository that holds several models. */
  subfolder?: string | undefined;
}

export interface ListedFile {
  /** Relative, with forward slashes. */
  path: string;
  size: number;
}

interface Rule {
  /** For messages. */
  what: string;
  /** The files to take, of those in the folder that the model lies in. */
  choose: (files: readonly ListedFile[]) => string[];
  /** What the chosen files lack to be a model. */
  lacks: (paths: readonly string[]) => string[];
}

const INDEX = 'model.safetensors.index.json';
const SHARD = /^model-\d+-of-(\d+)\.safetensors$/;

const RULES: Record<Family, Rule> = {
  whisper: {
    what: 'Whisper model',
    // The Hugging Face layout, else CTranslate2's.
    choose: (files) => {
      const common = present(files, [
        ...['config.json', 'tokenizer.json'],
        ...['generation_config.json', 'preprocessor_config.json', 'tokenizer_config.json'],
      ]);
      const weights = safetensors(files);
      if (weights.length > 0) return [...common, ...weights];
      const words = ['vocabulary.json', 'vocabulary.txt'];
      return has(files, 'model.bin') ? [...common, 'model.bin', ...present(files, words)] : common;
    },
    lacks: (paths) => [
      ...absent(paths, ['config.json', 'tokenizer.json']),
      ...(paths.includes('model.bin') || hasSafetensors(paths)
        ? []
        : ['model.safetensors or model.bin']),
    ],
  },
  'silero-vad': {
    what: 'Silero VAD',
    choose: (files) => present(files, ['silero_vad_v6.safetensors']),
    lacks: (paths) => absent(paths, ['silero_vad_v6.safetensors']),
  },
  'f5-tts': {
    what: 'F5-TTS or E2-TTS model',
    // The vocabulary is the same in all of the authors' folders, and lies in few of them.
    choose: (files) => [
      ...[latestCheckpoint(files.map(({ path }) => path)) ?? []].flat(),
      ...present(files, ['vocab.txt', 'config.yaml', 'config.yml']),
    ],
    lacks: (paths) =>
      latestCheckpoint(paths) === undefined ? ['model_N.safetensors or model_N.pt'] : [],
  },
  'f5-tts-vocabulary': {
    what: "vocabulary of F5-TTS's authors",
    choose: (files) => present(files, ['vocab.txt']),
    lacks: (paths) => absent(paths, ['vocab.txt']),
  },
  pypinyin: {
    what: 'dictionary of pypinyin',
    choose: (files) => present(files, ['phrases_dict.json', 'pinyin_dict.json']),
    lacks: (paths) => absent(paths, ['phrases_dict.json', 'pinyin_dict.json']),
  },
  vocos: {
    what: 'Vocos vocoder',
    choose: (files) => [
      ...present(files, ['config.yaml']),
      ...first(files, ['model.safetensors', 'pytorch_model.safetensors', 'pytorch_model.bin']),
    ],
    lacks: (paths) => [
      ...absent(paths, ['config.yaml']),
      ...(paths.length > 1 ? [] : ['model.safetensors or pytorch_model.bin']),
    ],
  },
  bigvgan: {
    what: 'BigVGAN vocoder',
    // Beside it lie the discriminator and the optimizer, which only training needs.
    choose: (files) => [
      ...present(files, ['config.json']),
      ...first(files, ['bigvgan_generator.safetensors', 'bigvgan_generator.pt']),
    ],
    lacks: (paths) => [
      ...absent(paths, ['config.json']),
      ...(paths.length > 1 ? [] : ['bigvgan_generator.pt']),
    ],
  },
  'higgs-audio': {
    what: 'Higgs Audio model',
    // Both formats, Boson's own and that of transformers, differ in the names of tensors alone.
    choose: (files) => [
      ...present(files, ['config.json', 'tokenizer.json', 'tokenizer_config.json']),
      ...present(files, ['special_tokens_map.json', 'generation_config.json']),
      ...present(files, ['processor_config.json', 'preprocessor_config.json']),
      ...present(files, ['chat_template.jinja']),
      ...safetensors(files),
    ],
    lacks: (paths) => [
      ...absent(paths, ['config.json', 'tokenizer.json']),
      ...(hasSafetensors(paths) ? [] : ['model.safetensors']),
    ],
  },
  'higgs-audio-codec': {
    what: 'Higgs Audio tokenizer',
    choose: (files) => [
      ...present(files, ['config.json', 'preprocessor_config.json']),
      ...first(
        // The hub's model.safetensors was a copy of the 3B language model at times (vllm-omni).
        files.filter(({ size }) => size < 4 * CODEC_BYTES),
        ['model.safetensors', 'model.pth'],
      ),
    ],
    lacks: (paths) => [
      ...absent(paths, ['config.json']),
      ...(paths.some((path) => /^model\.(safetensors|pth)$/.test(path))
        ? []
        : ["the codec's model.safetensors or model.pth"]),
    ],
  },
};

/** 201,400,553 parameters in float32. */
export const CODEC_BYTES = 805_602_212;

/** Families that a repository of unknown content is tried as. */
const GUESSES: readonly Family[] = ['whisper', 'f5-tts', 'vocos', 'bigvgan'];

export interface ChosenFiles {
  paths: string[];
  /** What is missing; empty where the files make a model. */
  lacks: string[];
  what: string;
}

/** Picks a model's files among those that a repository or a folder has. */
export function chooseFiles(wanted: Wanted, files: readonly ListedFile[]): ChosenFiles {
  if (wanted.family !== undefined) return chooseAs(wanted.family, wanted.subfolder, files);
  const guesses = GUESSES.map((family) => chooseAs(family, undefined, files));
  return guesses.find(({ lacks }) => lacks.length === 0) ?? chooseAs('whisper', undefined, files);
}

function chooseAs(
  family: Family,
  subfolder: string | undefined,
  files: readonly ListedFile[],
): ChosenFiles {
  const { choose, lacks, what } = RULES[family];
  const prefix = subfolder === undefined ? '' : `${subfolder}/`;
  const inside = files.flatMap(({ path, size }) =>
    path.startsWith(prefix) ? [{ path: path.slice(prefix.length), size }] : [],
  );
  const chosen = choose(inside);
  const [paths, missing] = [chosen, lacks(chosen)].map((names) =>
    names.map((name) => prefix + name),
  ) as [string[], string[]];
  return { paths, lacks: missing, what };
}

/** What a folder lacks to be such a model; empty when it is whole. */
export async function missingFiles(wanted: Wanted, folder: string): Promise<string[]> {
  const files = (await filesBelow(folder)).filter(({ size }) => size > 0);
  const { paths, lacks } = chooseFiles(wanted, files);
  if (lacks.length > 0) return lacks;
  const index = paths.find((path) => path.endsWith(INDEX));
  if (index === undefined) return [];
  const shards = await shardsOf(join(folder, index));
  if (shards === undefined) return [`a readable ${INDEX}`];
  const place = dirname(index) === '.' ? '' : `${dirname(index)}/`;
  return absent(
    paths,
    shards.map((shard) => place + shard),
  );
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

async function shardsOf(index: string): Promise<string[] | undefined> {
  try {
    const { weight_map } = indexSchema.parse(JSON.parse(await readFile(index, 'utf8')));
    return [...new Set(Object.values(weight_map))];
  } catch {
    return undefined;
  }
}

/** The files that make up the model in a folder. */
export async function modelFiles(wanted: Wanted, folder: string): Promise<string[]> {
  return chooseFiles(wanted, await filesBelow(folder)).paths;
}

/** Every file of a folder; links are followed to files, as a snapshot has them, not to folders. */
async function filesBelow(folder: string): Promise<ListedFile[]> {
  const names = (await readdir(folder, { recursive: true }).catch(ignoreMissing)) ?? [];
  const found = names.map(async (path): Promise<ListedFile[]> => {
    const status = await stat(join(folder, path)).catch(ignoreMissing);
    return status?.isFile() === true ? [{ path, size: status.size }] : [];
  });
  return (await Promise.all(found)).flat();
}

function has(files: readonly ListedFile[], name: string): boolean {
  return files.some(({ path }) => path === name);
}

function present(files: readonly ListedFile[], names: readonly string[]): string[] {
  return names.filter((name) => has(files, name));
}

function absent(paths: readonly string[], names: readonly string[]): string[] {
  return names.filter((name) => !paths.includes(name));
}

function first(files: readonly ListedFile[], names: readonly string[]): string[] {
  return present(files, names).slice(0, 1);
}

/** One file, else the shards that an index names. */
function safetensors(files: readonly ListedFile[]): string[] {
  if (has(files, 'model.safetensors')) return ['model.safetensors'];
  const shards = files.flatMap(({ path }) => (SHARD.test(path) ? [path] : []));
  return has(files, INDEX) && shards.length > 0 ? [INDEX, ...shards] : [];
}

function hasSafetensors(paths: readonly string[]): boolean {
  if (paths.includes('model.safetensors')) return true;
  const shards = paths.filter((path) => SHARD.test(path));
  return paths.includes(INDEX) && shards.length === Number(SHARD.exec(shards[0] ?? '')?.[1]);
}
