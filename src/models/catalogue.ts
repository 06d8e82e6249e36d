/** Models that have a name, and the reading of names. Nothing here touches disk or network. */
import { ModelError } from '../../lib/errors.js';
import { didYouMean, nearest } from '../../lib/validate.js';
import type { PipMirror } from '../storage/pip_mirror.js';
import { CODEC_BYTES, type Family, type Wanted } from './files.js';
import {
  BASE_MIRROR,
  F5_VOCABULARY_MIRROR,
  PYPINYIN_MIRROR,
  SILERO_VAD_MIRROR,
  TINY_EN_MIRROR,
} from './mirrors.js';

export interface CatalogueEntry extends Wanted {
  name: string;
  family: Family;
  /** Names the model's folder in a cache and in the bucket; mostly that of the hub's repository. */
  repository: string;
  /** Repository on the Hugging Face hub; undefined where none is known. */
  hub: string | undefined;
  /** Default main. */
  revision?: string;
  /** Bytes to download, about. */
  bytes: number;
  mirror?: PipMirror;
}

/** A model that is asked for: from the catalogue, or any repository of the hub. */
export interface ModelReference extends Wanted {
  /** As messages show it. */
  name: string;
  repository: string;
  hub: string | undefined;
  revision: string;
  /** Bytes to download, about; undefined for repositories outside the catalogue. */
  bytes?: number;
  mirror?: PipMirror;
}

/** The Whisper where none is named: for jobs, and to hear what is said in a reference. */
export const DEFAULT_WHISPER = 'base';

const MB = 1_000_000;

/** 5,771,283,456 parameters in bfloat16. */
const HIGGS_BYTES = 11_542_566_912;

const CATALOGUE: readonly CatalogueEntry[] = [
  openai('tiny', 151),
  { ...openai('tiny.en', 151), mirror: TINY_EN_MIRROR },
  { ...openai('base', 290), mirror: BASE_MIRROR },
  openai('base.en', 290),
  openai('small', 967),
  openai('small.en', 967),
  openai('medium', 3056),
  openai('medium.en', 3056),
  // On the hub the first large model kept the plain name.
  whisper('large-v1', 'openai/whisper-large', 6174),
  openai('large-v2', 6174),
  openai('large-v3', 3087),
  openai('large-v3-turbo', 1618),
  distil('distil-small.en', 332),
  distil('distil-medium.en', 789),
  distil('distil-large-v2', 1513),
  distil('distil-large-v3', 1513),
  distil('distil-large-v3.5', 1513),
  {
    ...{ name: 'silero-vad', family: 'silero-vad', repository: 'voxpod-mirror/silero-vad' },
    ...{ hub: undefined, bytes: 2 * MB, mirror: SILERO_VAD_MIRROR },
  },
  f5('f5-tts-v1-base', 'SWivid/F5-TTS', 'F5TTS_v1_Base'),
  f5('f5-tts-base', 'SWivid/F5-TTS', 'F5TTS_Base'),
  f5('f5-tts-base-bigvgan', 'SWivid/F5-TTS', 'F5TTS_Base_bigvgan'),
  f5('e2-tts-base', 'SWivid/E2-TTS', 'E2TTS_Base'),
  {
    // The same for all of them, and in few of their folders.
    ...speech('f5-tts-vocabulary', 'f5-tts-vocabulary', 'voxpod-part/f5-tts-vocabulary', 14_000),
    ...{ hub: 'SWivid/F5-TTS', subfolder: 'F5TTS_v1_Base', mirror: F5_VOCABULARY_MIRROR },
  },
  {
    ...{ name: 'pypinyin', family: 'pypinyin', repository: 'voxpod-mirror/pypinyin' },
    ...{ hub: undefined, bytes: MB, mirror: PYPINYIN_MIRROR },
  },
  speech('vocos-mel-24khz', 'vocos', 'charactr/vocos-mel-24khz', 54 * MB),
  speech('bigvgan-v2-24khz', 'bigvgan', 'nvidia/bigvgan_v2_24khz_100band_256x', 450 * MB),
  speech('higgs-audio-v2', 'higgs-audio', 'bosonai/higgs-audio-v2-generation-3B-base', HIGGS_BYTES),
  {
    ...speech(
      'higgs-audio-v2-original',
      'higgs-audio',
      'bosonai/higgs-audio-v2-generation-3B-base',
      HIGGS_BYTES,
    ),
    // The last state before the repository was overwritten in the format of transformers.
    revision: '10840182ca4ad5d9d9113b60b9bb3c1ef1ba3f84',
  },
  speech(
    'higgs-audio-v2-tokenizer',
    'higgs-audio-codec',
    'bosonai/higgs-audio-v2-tokenizer',
    CODEC_BYTES,
  ),
];

const ALIASES: Readonly<Record<string, string>> = {
  ...{ large: 'large-v3', turbo: 'large-v3-turbo' },
  ...{ 'f5-tts': 'f5-tts-v1-base', 'e2-tts': 'e2-tts-base' },
};

/** Names of the catalogue, or of one family, without the prefix that may stand before a Whisper's. */
export function modelNames(family?: Family): string[] {
  const entries = CATALOGUE.filter((entry) => family === undefined || entry.family === family);
  const names = entries.map(({ name }) => name);
  const aliases = Object.entries(ALIASES).filter(([, name]) => names.includes(name));
  return [...names, ...aliases.map(([alias]) => alias)];
}

/** The catalogue's entry for "base", "whisper-base", "turbo"...; undefined for other names. */
export function catalogueEntry(name: string): CatalogueEntry | undefined {
  const bare = name.replace(/^whisper-/, '');
  const full = Object.hasOwn(ALIASES, bare) ? ALIASES[bare] : bare;
  return CATALOGUE.find((entry) => entry.name === full);
}

/**
 * Reads a name of the catalogue, or a repository of the hub ("org/name", "org/name@revision").
 * @throws ModelError MODEL_UNKNOWN, with the names that come near
 */
export function parseModelName(name: string): ModelReference {
  const entry = catalogueEntry(name);
  if (entry) return { ...entry, revision: entry.revision ?? 'main' };
  // Two hyphens or dots in a row are not allowed on the hub, and would make cache paths ambiguous.
  const match = /^([\w-][\w.-]*\/[\w-][\w.-]*?)(?:@([\w-][\w.-]*))?$/.exec(name);
  const repository = match?.[1];
  if (repository !== undefined && !/\.\.|--/.test(name) && name.length <= 200) {
    const revision = match?.[2] ?? 'main';
    // What lies there is known where the catalogue names the repository.
    const { family, subfolder } = entryOf(repository) ?? {};
    return { name: repository, repository, hub: repository, revision, family, subfolder };
  }
  const bare = name
    .toLowerCase()
    .slice(0, 60)
    .replace(/^whisper-/, '');
  throw new ModelError(
    'MODEL_UNKNOWN',
    `There is no model ${JSON.stringify(name.slice(0, 200))}.${didYouMean(nearest(bare, modelNames()))} ` +
      `Known names: ${modelNames().join(', ')}; else give a repository of the Hugging Face hub (org/name) or a folder.`,
  );
}

/** What a family's models do, for messages. */
const ABILITIES = {
  whisper: 'cannot transcribe: it is no Whisper model',
  'f5-tts': 'cannot speak: it is no model of F5-TTS or E2-TTS',
} as const;

/**
 * Refuses what is known to be another family's before it is fetched. Folders, and repositories that the
 * catalogue does not know, pass.
 * @throws ModelError MODEL_UNSUPPORTED
 */
export function requireFamily(name: string, family: keyof typeof ABILITIES): void {
  const known = familyOf(name);
  if (known === undefined || known === family) return;
  throw new ModelError(
    'MODEL_UNSUPPORTED',
    `${name} ${ABILITIES[family]}. Those are ${modelNames(family).join(', ')}`,
  );
}

/** The family of a name; undefined for folders and for repositories that the catalogue does not know. */
export function familyOf(name: string): Family | undefined {
  return (catalogueEntry(name) ?? entryOf(name.split('@', 1)[0] ?? ''))?.family;
}

/** Where the mirror's files go: they are not the hub's, file by file. */
export function mirrorRepository(
  model: Pick<ModelReference, 'name' | 'repository' | 'hub' | 'family'>,
): string {
  if (model.hub === undefined) return model.repository;
  return `${MIRROR_PREFIX}${model.family === 'whisper' ? 'whisper-' : ''}${model.name}`;
}

const MIRROR_PREFIX = 'voxpod-mirror/';

/** Repositories that a model may lie under in a cache or in the bucket. */
export function repositoriesOf(model: ModelReference): string[] {
  const { repository, mirror } = model;
  return [...new Set([repository, ...(mirror ? [mirrorRepository(model)] : [])])];
}

/** The catalogue's name of what lies under a repository, else the repository itself. */
export function modelNameOf(repository: string): string {
  if (repository.startsWith(MIRROR_PREFIX)) {
    return repository.slice(MIRROR_PREFIX.length).replace(/^whisper-/, '');
  }
  return entryOf(repository)?.name ?? repository;
}

/** What may lie under a repository's name, as far as the catalogue knows it. */
export function wantedOf(repository: string): Wanted {
  return entryOf(repository) ?? catalogueEntry(modelNameOf(repository)) ?? {};
}

/** Of several revisions the first, which the others are like. */
function entryOf(repository: string): CatalogueEntry | undefined {
  return CATALOGUE.find((entry) => entry.repository === repository);
}

function whisper(name: string, repository: string, megabytes: number): CatalogueEntry {
  return { name, family: 'whisper', repository, hub: repository, bytes: megabytes * MB };
}

function openai(name: string, megabytes: number): CatalogueEntry {
  return whisper(name, `openai/whisper-${name}`, megabytes);
}

function distil(name: string, megabytes: number): CatalogueEntry {
  return whisper(name, `distil-whisper/${name}`, megabytes);
}

function speech(name: string, family: Family, repository: string, bytes: number): CatalogueEntry {
  return { name, family, repository, hub: repository, bytes };
}

/**
 * One folder of a repository that holds several models. The first has the repository's own place in a
 * cache; the others get one each, so that each comes, goes and is stored by itself.
 */
function f5(name: string, hub: string, subfolder: string): CatalogueEntry {
  const own = ['F5TTS_v1_Base', 'E2TTS_Base'].includes(subfolder);
  return {
    ...speech(name, 'f5-tts', own ? hub : `voxpod-part/${name}`, 1350 * MB),
    ...{ hub, subfolder },
  };
}
