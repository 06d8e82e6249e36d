/** The least memory that models take on the CPU, known before anything is fetched or loaded. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { inspectF5 } from '../../lib/f5/config.js';
import { catalogueEntry, familyOf, modelNameOf, type CatalogueEntry } from './catalogue.js';
import { missingFiles, modelFiles } from './files.js';
import { vocoderFor } from './speech_model.js';

/** Float32 in the file, bfloat16 in memory. */
const LEAST_SHARE = 1 / 2;
/** A training's file has the weights twice, and two moments of the optimizer for each of them. */
const LEAST_SHARE_OF_TRAINING = LEAST_SHARE / 4;

/**
 * Bytes for `models` (names or folders) and for what serves them: a vocoder, and `hearing`, the Whisper
 * that hears references, where there is none among them. What nobody knows yet counts as nothing.
 */
export async function leastMemory(models: readonly string[], hearing: string): Promise<number> {
  let bytes = 0;
  const families = new Set<string>();
  for (const model of models) {
    const entry = entryOf(model);
    const speaks = (entry?.family ?? familyOf(model) ?? (await familyOfFolder(model))) === 'f5-tts';
    families.add(speaks ? 'f5-tts' : 'whisper');
    if (entry !== undefined) bytes += ofEntry(entry);
    else bytes += await (speaks ? ofSpeechFolder(model) : ofWhisperFolder(model));
  }
  if (families.has('f5-tts') && !families.has('whisper')) {
    bytes += (entryOf(hearing)?.bytes ?? 0) * LEAST_SHARE;
  }
  return bytes;
}

/** Of a name, or of a repository that the catalogue has. */
function entryOf(model: string): CatalogueEntry | undefined {
  return catalogueEntry(modelNameOf(model.split('@', 1)[0] ?? ''));
}

function ofEntry({ name, family, bytes }: CatalogueEntry): number {
  const vocoder = family === 'f5-tts' ? catalogueEntry(vocoderFor(name) ?? '') : undefined;
  return (bytes + (vocoder?.bytes ?? 0)) * LEAST_SHARE;
}

/** A folder that is neither counts as Whisper's, whose loading says what it lacks. */
export async function familyOfFolder(folder: string): Promise<'whisper' | 'f5-tts'> {
  if ((await missingFiles({ family: 'whisper' }, folder)).length === 0) return 'whisper';
  if ((await missingFiles({ family: 'f5-tts' }, folder)).length === 0) return 'f5-tts';
  const found = await inspectF5(folder).catch(() => undefined);
  return found?.vocabulary === undefined ? 'whisper' : 'f5-tts';
}

/** The checkpoint may lie one level further down, beside others that are not loaded. */
async function ofSpeechFolder(folder: string): Promise<number> {
  const found = await inspectF5(folder).catch(() => undefined);
  if (found === undefined) return 0;
  const { checkpoint, vocoder, trainedWith } = found;
  const share = checkpoint.endsWith('.pt') ? LEAST_SHARE_OF_TRAINING : LEAST_SHARE;
  const own = (await sizeOf(checkpoint)) * share;
  if (vocoder !== undefined) return own + (await sizeOf(vocoder)) * LEAST_SHARE;
  const fetched = catalogueEntry(vocoderFor(folder, trainedWith) ?? '');
  return own + (fetched?.bytes ?? 0) * LEAST_SHARE;
}

async function ofWhisperFolder(folder: string): Promise<number> {
  let bytes = 0;
  for (const path of await modelFiles({ family: 'whisper' }, folder)) {
    bytes += await sizeOf(join(folder, path));
  }
  return bytes * LEAST_SHARE;
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
