/** Finds what a model of F5-TTS or E2-TTS consists of in a folder, and which of its kinds it is. */
import { readFile, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { ModelError, messageOf } from '../errors.js';
import type { F5Architecture } from '../native.js';
import { latestCheckpoint } from './checkpoint_name.js';
import type { TokenizerKind } from './tokenizer.js';

/** "v1": F5TTS_v1_Base and _Small; "v0": F5TTS_Base and _Small; "e2": E2TTS_Base. */
export type F5Version = 'v1' | 'v0' | 'e2';

export interface F5Files {
  checkpoint: string;
  /** Undefined where the tokens are bytes. */
  vocabulary: string | undefined;
  vocoder: string;
  architecture: F5Architecture;
  tokenizer: TokenizerKind;
  /** "vocos" or "bigvgan" where names or settings tell: the mels of the two differ. */
  trainedWith: string | undefined;
}

/** Configurations of SWivid/F5-TTS, configs/*.yaml: what the tensors do not tell apart. */
const architectures: Record<F5Version, F5Architecture> = {
  v1: { maskTextPadding: true, rotaryHeads: 'all', averageUpsampling: false },
  v0: { maskTextPadding: false, rotaryHeads: 'first', averageUpsampling: false },
  e2: { maskTextPadding: false, rotaryHeads: 'first', averageUpsampling: false },
};

const vocoderFiles = [
  ...['model.safetensors', 'pytorch_model.safetensors', 'pytorch_model.bin'],
  ...['bigvgan_generator.safetensors', 'bigvgan_generator.pt'],
];
const configFiles = ['config.json', 'config.yaml', 'config.yml'];

export interface LocateOptions {
  version: F5Version | undefined;
  /** File, or folder that holds it. */
  vocabulary: string | undefined;
  /** File or folder; undefined: vocoder/ in the model's folder. */
  vocoder: string | undefined;
}

/**
 * `path` is a checkpoint or the folder of one, which may be one level further down, as on the hub.
 * @throws ModelError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_UNSUPPORTED, TOKENIZER_INVALID
 */
export async function locateF5(path: string, options: LocateOptions): Promise<F5Files> {
  const found = await inspectF5(path);
  const { checkpoint, config, trainedWith } = found;
  const version = options.version ?? (config === undefined ? versionOf(checkpoint) : undefined);
  const architecture = version === undefined ? config?.architecture : architectures[version];
  if (architecture === undefined) {
    throw new ModelError(
      'MODEL_UNSUPPORTED',
      `${checkpoint} does not say which F5-TTS it is, and its tensors are the same in all. Give the version: "v1" for F5TTS_v1_*, "v0" for F5TTS_Base and most models trained from it, "e2" for E2-TTS; or put the training's config.yaml beside it.`,
    );
  }
  const tokenizer = config?.tokenizer ?? 'pinyin';
  const given = async (place: string, find: (place: string) => Promise<string | undefined>) =>
    (await find(place)) ?? missing(place);
  const vocoder =
    options.vocoder === undefined ? found.vocoder : await given(options.vocoder, findVocoder);
  if (vocoder === undefined) {
    throw new ModelError(
      'MODEL_NOT_FOUND',
      `${dirname(checkpoint)} has no vocoder/ in it. Give the folder or file of the vocoder: Vocos (charactr/vocos-mel-24khz), or BigVGAN for models trained with it.`,
    );
  }
  const vocabulary =
    options.vocabulary === undefined
      ? found.vocabulary
      : await given(options.vocabulary, findVocabulary);
  if (vocabulary === undefined && tokenizer !== 'byte') {
    throw new ModelError(
      'TOKENIZER_INVALID',
      `There is no vocab.txt in ${dirname(checkpoint)}. Put the vocabulary of the model's training there, or say where it is; that of F5TTS_v1_Base serves all models of F5-TTS's authors.`,
    );
  }
  return { checkpoint, vocoder, architecture, tokenizer, trainedWith, vocabulary };
}

/** What a folder holds of a model. */
export interface F5Folder {
  checkpoint: string;
  vocabulary: string | undefined;
  vocoder: string | undefined;
  /** What a config.json or config.yaml beside the checkpoint says. */
  config: Config | undefined;
  /** "vocos" or "bigvgan" where names or settings tell: the mels of the two differ. */
  trainedWith: string | undefined;
}

/** @throws ModelError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_UNSUPPORTED */
export async function inspectF5(path: string): Promise<F5Folder> {
  const checkpoint = await findCheckpoint(path);
  const folder = dirname(checkpoint);
  const root = path === checkpoint ? folder : path;
  const config = await readConfig(folder);
  return {
    ...{ checkpoint, config },
    // On the hub one of several folders has it.
    vocabulary: (await findVocabulary(folder)) ?? (await findVocabulary(root)),
    vocoder:
      (await findVocoder(join(folder, 'vocoder'))) ?? (await findVocoder(join(root, 'vocoder'))),
    trainedWith: config?.vocoder ?? (isNamed(checkpoint, /bigvgan/i) ? 'bigvgan' : undefined),
  };
}

function missing(place: string): never {
  throw new ModelError(
    'MODEL_NOT_FOUND',
    `There is no ${place}, or nothing in it that is looked for: vocab.txt, or a vocoder's ${vocoderFiles.join(', ')}.`,
  );
}

async function findCheckpoint(path: string): Promise<string> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) {
    throw new ModelError(
      'MODEL_NOT_FOUND',
      `There is no ${path}. Give the folder or file of an F5-TTS checkpoint.`,
    );
  }
  if (status.isFile()) return path;
  const found = await checkpointsIn(path);
  if (found.length === 0) {
    for (const name of await foldersIn(path))
      found.push(...(await checkpointsIn(join(path, name))));
  }
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  throw new ModelError(
    only === undefined ? 'MODEL_NOT_FOUND' : 'MODEL_INVALID',
    only === undefined
      ? `${path} holds no model_N.safetensors or model_N.pt. Give the folder or file of an F5-TTS checkpoint.`
      : `${path} holds several models (${found.join(', ')}). Give one of them.`,
  );
}

/** The trainer's latest checkpoint, else every file that may be one. */
async function checkpointsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  const latest = latestCheckpoint(names);
  if (latest !== undefined) return [join(folder, latest)];
  const weights = names.filter((name) => /\.(safetensors|pt)$/.test(name));
  // A vocoder's folder beside the model's is none.
  return weights.filter((name) => !/^bigvgan/.test(name)).map((name) => join(folder, name));
}

/** Folders that may hold the model: not that of its vocoder. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch(() => []);
  const names = entries.filter((name) => name !== 'vocoder').sort();
  const isFolder = await Promise.all(
    names.map(async (name) =>
      (await stat(join(folder, name)).catch(() => undefined))?.isDirectory(),
    ),
  );
  return names.filter((_, at) => isFolder[at]);
}

/** By the names of the hub's folders and of community checkpoints named after them. */
function versionOf(checkpoint: string): F5Version | undefined {
  if (isNamed(checkpoint, /E2[-_]?TTS/i)) return 'e2';
  if (isNamed(checkpoint, /F5[-_]?TTS[-_]v1/i)) return 'v1';
  return isNamed(checkpoint, /F5[-_]?TTS[-_](Base|Small)/i) ? 'v0' : undefined;
}

/** Whether the file's own name or its folder's is of this kind. */
const isNamed = (checkpoint: string, name: RegExp): boolean =>
  name.test(basename(checkpoint)) || name.test(basename(dirname(checkpoint)));

interface Config {
  architecture: F5Architecture;
  tokenizer: TokenizerKind;
  /** "vocos" or "bigvgan", as the training had it. */
  vocoder: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

async function readConfig(folder: string): Promise<Config | undefined> {
  for (const name of configFiles) {
    const file = join(folder, name);
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    return interpret(file, parseConfig(file, text));
  }
  return undefined;
}

function parseConfig(file: string, text: string): Fields {
  let value: unknown;
  try {
    // YAML holds JSON.
    value = parseYaml(text);
  } catch (cause) {
    throw new ModelError('MODEL_INVALID', `${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
  return fieldsOf(value);
}

/** The trainer's layout (model.arch, model.tokenizer), or the fields of the architecture alone. */
function interpret(file: string, root: Fields): Config {
  // As transformers write it.
  const foreign = root['model_type'];
  if (typeof foreign === 'string') {
    throw new ModelError(
      'MODEL_UNSUPPORTED',
      `${file} is that of a ${foreign.slice(0, 60)} model, not of F5-TTS or E2-TTS.`,
    );
  }
  const model = fieldsOf(root['model']);
  const arch = 'arch' in model ? fieldsOf(model['arch']) : root;
  // What is absent is as in the classes DiT and UNetT (model/backbones).
  const heads = arch['pe_attn_head'] ?? null;
  if (heads !== null && heads !== 1) {
    throw unsupported(file, 'pe_attn_head', heads, 'null or 1');
  }
  const tokenizer = model['tokenizer'] ?? 'pinyin';
  const kind = tokenizer === 'custom' ? 'pinyin' : tokenizer;
  if (kind !== 'pinyin' && kind !== 'char' && kind !== 'byte') {
    throw unsupported(file, 'tokenizer', tokenizer, 'pinyin, char, byte or custom');
  }
  const spectrogram = fieldsOf(model['mel_spec'])['mel_spec_type'];
  return {
    architecture: {
      maskTextPadding: arch['text_mask_padding'] !== false,
      rotaryHeads: heads === null ? 'all' : 'first',
      averageUpsampling: arch['text_embedding_average_upsampling'] === true,
    },
    tokenizer: kind,
    vocoder: typeof spectrogram === 'string' ? spectrogram : undefined,
  };
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function unsupported(file: string, name: string, value: unknown, known: string): ModelError {
  return new ModelError(
    'MODEL_UNSUPPORTED',
    `${file}: ${name} is ${JSON.stringify(value)?.slice(0, 60)}, and voxpod knows ${known}.`,
  );
}

/** A file, or vocab.txt in a folder or one level further down. */
async function findVocabulary(place: string): Promise<string | undefined> {
  if (await isFile(place)) return place;
  const folders = ['.', ...(await foldersIn(place))];
  for (const folder of folders) {
    const file = join(place, folder, 'vocab.txt');
    if (await isFile(file)) return file;
  }
  return undefined;
}

async function findVocoder(place: string): Promise<string | undefined> {
  if (await isFile(place)) return place;
  const names: string[] = await readdir(place).catch(() => []);
  const name = vocoderFiles.find((file) => names.includes(file));
  return name === undefined ? undefined : join(place, name);
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}
