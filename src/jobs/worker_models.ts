/** The models that a worker was started with: what jobs call them, and what each can do. */
import { basename } from 'node:path';
import { ModelError } from '../../lib/errors.js';
import { familyOf } from '../models/catalogue.js';
import { familyOfFolder } from '../models/least_memory.js';

export class WorkerModels {
  /** By what jobs call them; what the pool is asked for. */
  readonly all: ReadonlyMap<string, string>;
  /** Those that transcribe, and those that speak, in the order in which they were given. */
  readonly whispers = new Map<string, string>();
  readonly speakers = new Map<string, string>();

  constructor(models: readonly string[]) {
    this.all = new Map(models.map((model) => [modelName(model), model]));
  }

  /**
   * Says which a model is, by its name or by what its folder holds.
   * @throws ModelError MODEL_UNSUPPORTED where it is of another family
   */
  async classify(name: string, folder: string): Promise<'whisper' | 'f5-tts'> {
    const source = this.all.get(name) ?? name;
    const family = familyOf(source) ?? (await familyOfFolder(folder));
    if (family !== 'whisper' && family !== 'f5-tts') {
      throw new ModelError(
        'MODEL_UNSUPPORTED',
        `${source} is a model of ${family}: a worker serves models of Whisper, F5-TTS and E2-TTS`,
      );
    }
    (family === 'whisper' ? this.whispers : this.speakers).set(name, source);
    return family;
  }
}

/** What jobs call a model that was given as a folder or repository: "base" for "x/whisper-base". */
function modelName(model: string): string {
  return basename(model).replace(/^(faster-)?whisper-/, '');
}
