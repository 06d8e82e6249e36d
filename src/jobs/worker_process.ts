/**
 * The process of `voxpod worker` that computes: the loaded models and the handler of jobs. Its parent
 * takes the jobs, reports their results and starts this process again when native code crashes it.
 */
import { loadNative } from '../../lib/binding.js';
import { NativeError } from '../../lib/errors.js';
import { Voice, type WhisperOptions } from '../../lib/index.js';
import { DEFAULT_WHISPER } from '../models/catalogue.js';
import { loadDetector, SharedDetector } from '../models/detector.js';
import { ModelPool } from '../models/pool.js';
import { generatorOf } from '../runpod/job.js';
import { PreparedVoices } from '../voices/prepared_voices.js';
import { VoiceLibrary } from '../voices/voice_library.js';
import type { FitnessCheck } from '../runpod/fitness.js';
import type { IsolatedContext, IsolatedWork } from '../runpod/isolated_module.js';
import type { Handler } from '../runpod/job.js';
import { LoadMeter } from './engine_load.js';
import { EngineStorage } from './engine_storage.js';
import { jobHandler } from './handler.js';
import { JobBuckets } from './job_bucket.js';
import { WorkerModels } from './worker_models.js';

export interface WorkerSettings {
  /** Names or folders; jobs that name none get the first. */
  models: string[];
  device: string;
  dtype: NonNullable<WhisperOptions['dtype']>;
  /** 0 takes one for each core. */
  threads: number;
  /** As the log shows it. */
  concurrency: string;
  /** Where the analytics are kept. */
  analytics: string | undefined;
  /** When the worker's first process began, in milliseconds since 1970. */
  startedAt: number;
}

/** Jobs that a GPU computes at once. */
const GPU_JOBS = 8;
/** Sequences that are decoded at once: eight windows with the five beams of a job's default. */
const MAX_BATCH = 40;
/** Clips that wait for the engine. Jobs are bounded by the concurrency: none is refused for them. */
const MAX_QUEUE = 65_536;

/** `settings` are WorkerSettings. */
export function createHandler(context: IsolatedContext): IsolatedWork {
  const { log } = context;
  const settings = context.settings as WorkerSettings;
  const { device, dtype, threads } = settings;
  const storage = new EngineStorage({
    ...{ log, models: settings.models, analyticsFile: settings.analytics, signal: context.signal },
  });
  const { analytics, idle, store } = storage;
  analytics.addPhase('processes', Math.max(0, Date.now() - settings.startedAt) / 1000);
  const pool = new ModelPool({
    store,
    maxModels: settings.models.length,
    maxBatch: MAX_BATCH,
    maxQueue: MAX_QUEUE,
    ...{ log, device, dtype, threads },
  });
  const detector = new SharedDetector(async () => {
    const loaded = await loadDetector(store, (line) => log.warn(line), { signal: context.signal });
    if (loaded.detector.name === 'silero') log.info('Loaded silero-vad.');
    return loaded;
  });
  const models = new WorkerModels(settings.models);
  const buckets = JobBuckets.fromEnvironment();
  const [voices, preparedVoices] = [VoiceLibrary.fromEnvironment(), new PreparedVoices()];
  const allowPrivateUrls = process.env['VOXPOD_ALLOW_PRIVATE_URLS'] === '1';
  const meter = new LoadMeter((load) => context.report(load));
  // On the CPU one call computes at a time, on all cores; a GPU decodes a batch of them together.
  meter.capacity = device === 'cpu' ? 1 : GPU_JOBS;

  const handler: Handler = async (job, jobContext) => {
    const metered = meter.begin();
    const ended = idle.begin();
    const end = (): void => {
      metered.end();
      ended();
    };
    const { whispers, speakers } = models;
    const [defaultModel = DEFAULT_WHISPER] = whispers.keys();
    const options = {
      ...{ pool: metered.pool(pool), models: whispers, defaultModel, buckets, allowPrivateUrls },
      ...{ speechModels: speakers, voices, preparedVoices },
      hearingModel: whispers.get(defaultModel) ?? defaultModel,
      detector: (signal: AbortSignal) => detector.get(signal),
    };
    let returned: unknown;
    try {
      returned = await jobHandler(options)(job, jobContext);
    } catch (error) {
      end();
      throw error;
    }
    // What streams has not ended when it is returned.
    const chunks = generatorOf(returned);
    if (chunks !== undefined) return endedBy(chunks, end);
    end();
    return returned;
  };
  const checks = [
    ...storage.checks,
    {
      name: 'addon',
      run: () => analytics.phase('addon', () => void loadNative()),
    },
    ...gpuListed(device),
    {
      name: 'model',
      run: async (signal: AbortSignal) => {
        for (const [name, model] of models.all) {
          const { folder } = await analytics.phase('model files', () =>
            store.resolve(model, { signal }),
          );
          const family = await models.classify(name, folder);
          // One more for the ears of a worker that only speaks: it hears references without text.
          pool.maxModels = models.all.size + (models.whispers.size === 0 ? 1 : 0);
          const info = await analytics.phase('weights', () => load(pool, family, model, signal));
          log.info(`${name}: ${info.device}, ${info.dtype}.`);
        }
        log.info(
          `Engine: models ${[...models.all.keys()].join(', ')}; concurrency ${settings.concurrency}.`,
        );
        log.info(analytics.summary());
        storage.startBackground();
      },
    },
    ...gpuComputes(device, pool, models),
  ];
  const dispose = async (): Promise<void> => {
    await pool.dispose();
    await detector.dispose();
    await storage.dispose();
  };
  return { handler, checks, dispose };
}

function gpuListed(device: string): FitnessCheck[] {
  if (device === 'cpu' || skipsGpu()) return [];
  return [
    {
      name: 'gpu',
      run: () => {
        const names = loadNative()
          .info()
          .devices.map(({ name }) => name);
        const wanted = device === 'cuda' ? 'cuda:0' : device;
        if (names.includes(wanted)) return;
        throw new NativeError(
          'DEVICE_UNAVAILABLE',
          `There is no ${wanted} here, only ${names.join(', ')}. See "voxpod info"`,
        );
      },
    },
  ];
}

/** Loads a model, which stays in memory as long as there is room, and says where it computes. */
async function load(
  pool: ModelPool,
  family: 'whisper' | 'f5-tts',
  model: string,
  signal: AbortSignal,
): Promise<{ device: string; dtype: string }> {
  if (family === 'whisper') {
    const lease = await pool.acquireWhisper(model, { signal });
    lease.release();
    return lease.whisper.info;
  }
  const lease = await pool.acquireSpeech(model, { signal });
  lease.release();
  return lease.speech.info;
}

/** A GPU that is listed may still be broken: it computes a little before the first job. */
function gpuComputes(device: string, pool: ModelPool, models: WorkerModels): FitnessCheck[] {
  if (device === 'cpu' || skipsGpu()) return [];
  return [
    {
      name: 'gpu',
      run: async (signal) => {
        const [whisper] = models.whispers.values();
        if (whisper !== undefined) await listen(pool, whisper, signal);
        const [speaker] = models.speakers.values();
        if (speaker !== undefined) await say(pool, speaker, signal);
      },
    },
  ];
}

/** To a second of silence. */
async function listen(pool: ModelPool, model: string, signal: AbortSignal): Promise<void> {
  const lease = await pool.acquireWhisper(model, { signal });
  const silence = { samples: new Float32Array(16_000), sampleRate: 16_000 };
  try {
    await lease.whisper.transcribe(silence, { language: 'en', temperature: [0], signal });
  } finally {
    lease.release();
  }
}

/** A word, with a hum for a voice. */
async function say(pool: ModelPool, model: string, signal: AbortSignal): Promise<void> {
  const lease = await pool.acquireSpeech(model, { signal });
  const samples = Float32Array.from({ length: 24_000 }, (_, i) => 0.1 * Math.sin(i / 30));
  try {
    const voice = new Voice('Hello there. ', { samples, gain: 1 });
    await lease.speech.speak('Hello.', { voice, seed: 0, steps: 2, signal });
  } finally {
    lease.release();
  }
}

async function* endedBy(
  chunks: AsyncIterable<unknown> | Iterable<unknown>,
  end: () => void,
): AsyncGenerator<unknown, void, undefined> {
  try {
    yield* chunks;
  } finally {
    end();
  }
}

/** Variables of RunPod's SDK. */
function skipsGpu(): boolean {
  const { env } = process;
  return ['RUNPOD_SKIP_GPU_CHECK', 'RUNPOD_SKIP_AUTO_SYSTEM_CHECKS'].some(
    (name) => env[name] === 'true',
  );
}
