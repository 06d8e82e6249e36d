/** Which files make a Whisper folder, in the Hugging Face and in the CTranslate2 layout. */
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';

/** Without these nothing can be loaded. */
const REQUIRED = ['config.json', 'tokenizer.json'];
/** Taken along where they exist. */
const WANTED = ['generation_config.json', 'preprocessor_config.json', 'tokenizer_config.json'];
const INDEX = 'model.safetensors.index.json';
const WEIGHTS = 'model.safetensors or model.bin';

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * The files to fetch among those a repository has: the settings and one set of weights
 * (model.safetensors, else the shards that an index names, else CTranslate2's model.bin).
 */
export function filesToFetch(paths: readonly string[]): string[] {
  const has = new Set(paths);
  const common = [...REQUIRED, ...WANTED].filter((path) => has.has(path));
  const shards = paths.filter((path) => /^model-\d+-of-\d+\.safetensors$/.test(path));
  if (has.has('model.safetensors')) return [...common, 'model.safetensors'];
  if (has.has(INDEX) && shards.length > 0) return [...common, INDEX, ...shards];
  const words = ['vocabulary.json', 'vocabulary.txt'].filter((path) => has.has(path));
  return has.has('model.bin') ? [...common, 'model.bin', ...words] : common;
}

/** What files of these names would lack to be a model. */
export function missingFrom(paths: readonly string[]): string[] {
  const missing = REQUIRED.filter((path) => !paths.includes(path));
  const weights = ['model.safetensors', 'model.bin', INDEX];
  if (!weights.some((path) => paths.includes(path))) missing.push(WEIGHTS);
  return missing;
}

/** What a folder lacks to be loaded; empty when it is whole. */
export async function missingFiles(folder: string): Promise<string[]> {
  const missing: string[] = [];
  for (const path of REQUIRED) if (!(await isFile(join(folder, path)))) missing.push(path);
  return [...missing, ...(await missingWeights(folder))];
}

async function missingWeights(folder: string): Promise<string[]> {
  for (const path of ['model.safetensors', 'model.bin']) {
    if (await isFile(join(folder, path))) return [];
  }
  if (!(await isFile(join(folder, INDEX)))) return [WEIGHTS];
  let shards: string[];
  try {
    const index = indexSchema.parse(JSON.parse(await readFile(join(folder, INDEX), 'utf8')));
    shards = [...new Set(Object.values(index.weight_map))];
  } catch {
    return [`a readable ${INDEX}`];
  }
  const missing: string[] = [];
  for (const shard of shards) {
    if (shard !== basename(shard) || !(await isFile(join(folder, shard)))) missing.push(shard);
  }
  return missing;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isFile() && status.size > 0,
    () => false,
  );
}
