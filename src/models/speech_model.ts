/** What an F5-TTS or E2-TTS model consists of, out of the store: model, vocoder, vocabulary. */
import { inspectF5 } from '../../lib/f5/config.js';
import { catalogueEntry } from './catalogue.js';
import type { HeldModel, ModelStore, ResolveOptions } from './store.js';

/** Files that are not evicted until they are released. */
export interface HeldSpeechModel {
  folder: string;
  /** Where the parts are that the model's own folder lacks. */
  files: { vocoder?: string; vocabulary?: string };
  /** Names of what is held, and where it lies: the model first. */
  models: string[];
  folders: string[];
  /** Does nothing when called again. */
  release(): Promise<void>;
}

/** The vocoders by what models are trained with. */
const VOCODERS: Readonly<Record<string, string>> = {
  vocos: 'vocos-mel-24khz',
  bigvgan: 'bigvgan-v2-24khz',
};

/** The vocoder of a model, which its name tells where its files do not (`trainedWith`). */
export function vocoderFor(name: string, trainedWith?: string): string | undefined {
  const named = /bigvgan/.test(catalogueEntry(name)?.name ?? '') ? 'bigvgan' : 'vocos';
  return VOCODERS[trainedWith ?? named];
}

/**
 * `vocoder`: a name or folder, in the place of the one that the model goes with. A vocoder/ or a
 * vocab.txt in the model's folder is taken before any other.
 * @throws what `ModelStore.acquire` and `inspectF5` throw
 */
export async function holdSpeechModel(
  store: ModelStore,
  name: string,
  options: ResolveOptions & { vocoder?: string } = {},
): Promise<HeldSpeechModel> {
  const held: HeldModel[] = [];
  const models: string[] = [];
  const hold = async (part: string): Promise<string> => {
    const one = await store.acquire(part, options);
    held.push(one);
    models.push(part);
    return one.folder;
  };
  const release = async (): Promise<void> => {
    for (const one of held) await one.release();
  };
  try {
    const folder = await hold(name);
    const { trainedWith, vocoder, vocabulary } = await inspectF5(folder);
    const files: HeldSpeechModel['files'] = {};
    const wanted =
      options.vocoder ?? (vocoder === undefined ? vocoderFor(name, trainedWith) : undefined);
    if (wanted !== undefined) files.vocoder = await hold(wanted);
    if (vocabulary === undefined) files.vocabulary = await hold('f5-tts-vocabulary');
    return { folder, files, models, folders: held.map((one) => one.folder), release };
  } catch (error) {
    await release();
    throw error;
  }
}
