/** The handler of speech jobs with a small random model, as tests without a platform use it. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../../lib/package_root.js';
import { jobHandler, type JobHandlerOptions } from '../../../src/jobs/handler.js';
import { speechOutputSchema, type SpeechOutput } from '../../../src/jobs/speech_schema.js';
import { createLogger } from '../../../src/log.js';
import { ModelPool } from '../../../src/models/pool.js';
import { ModelStore } from '../../../src/models/store.js';
import { runJob } from '../../../src/runpod/run_job.js';
import { writeTinyModel } from '../../lib/f5/tiny_model.js';
import { baseFolder } from '../models/real.js';

export const clipFile = join(packageRoot(), 'test', 'fixtures', 'speech', 'weather.wav');
export const reference_audio_base64 = readFileSync(clipFile).toString('base64');
export const reference_text =
  'Yesterday it was raining all day long. Today the sun is shining and the children are playing in the garden.';

/** A job as most tests send it. */
export const job = {
  ...{ text: 'The weather is fine.', model: 'tiny', seed: 7, steps: 4 },
  ...{ reference_audio_base64, reference_text },
};

export interface SpeechJobs {
  /** Empty but for the folder of the model "tiny". */
  folder: string;
  run(input: object): Promise<SpeechOutput>;
  close(): Promise<void>;
}

/** `models`: more than "tiny", by what jobs call them. */
export async function speechJobs(
  models: (folder: string) => Promise<ReadonlyMap<string, string>>,
  options: Partial<JobHandlerOptions> = {},
): Promise<SpeechJobs> {
  const folder = await mkdtemp(join(tmpdir(), 'voxpod-speech-'));
  await writeTinyModel(join(folder, 'tiny'));
  const pool = new ModelPool({
    ...{ store: new ModelStore({ offline: true }), maxModels: 2, dtype: 'float32' },
  });
  const handler = jobHandler({
    ...{ pool, allowPrivateUrls: true, hearingModel: baseFolder },
    speechModels: new Map([['tiny', join(folder, 'tiny')], ...(await models(folder))]),
    ...options,
  });
  const log = createLogger({ write: () => undefined });
  const { signal } = new AbortController();
  return {
    folder,
    run: async (input) => {
      const output = await runJob(handler, { id: 'job', input }, { log, signal });
      return speechOutputSchema.strict().parse(output);
    },
    close: async () => {
      await pool.dispose();
      await rm(folder, { recursive: true });
    },
  };
}

export const soundOf = ({ audio_base64: sound = '' }: SpeechOutput): Buffer =>
  Buffer.from(sound, 'base64');
