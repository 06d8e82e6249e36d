/**
 * The process of `voxpod worker` that computes: the loaded models and the handler of jobs. Its parent
 * takes the jobs, reports their results and starts this process again when native code crashes it.
 */
import { basename } from 'node:path';
import { loadNative } from '../../lib/binding.js';
import { NativeError } from '../../lib/errors.js';
import type { WhisperOptions } from '../../lib/index.js';
import { requireWhisper } from '../models/catalogue.js';
import { loadDetector, SharedDetector } from '../models/detector.js';
import { ModelPool } from '../models/pool.js';
import type { FitnessCheck } from '../runpod/fitness.js';
import type { IsolatedContext, IsolatedWork } from '../runpod/isolated_module.js';
import type { Handler } from '../runpod/job.js';
import { LoadMeter } from './engine_load.js';
import { EngineStorage } from './engine_storage.js';
import { jobHandler } from './handler.js';
import { JobBuckets } from './job_bucket.js';

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
  const models = new Map(settings.models.map((model) => [modelName(model), model]));
  const [defaultModel = 'base'] = models.keys();
  const buckets = JobBuckets.fromEnvironment();
  const allowPrivateUrls = process.env['VOXPOD_ALLOW_PRIVATE_URLS'] === '1';
  const meter = new LoadMeter((load) => context.report(load));
  // On the CPU one call computes at a time, on all cores; a GPU decodes a batch of them together.
  meter.capacity = device === 'cpu' ? 1 : GPU_JOBS;

  const handler: Handler = async (job, jobContext) => {
    const metered = meter.begin();
    const ended = idle.begin();
    const options = {
      ...{ pool: metered.pool(pool), models, defaultModel, buckets, allowPrivateUrls },
      detector: (signal: AbortSignal) => detector.get(signal),
    };
    try {
      return await jobHandler(options)(job, jobContext);
    } finally {
      metered.end();
      ended();
    }
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
        for (const model of models.values()) {
          requireWhisper(model);
          await analytics.phase('model files', () => store.resolve(model, { signal }));
          const lease = await analytics.phase('weights', () =>
            pool.acquireWhisper(model, { signal }),
          );
          const { info } = lease.whisper;
          lease.release();
          log.info(
            `Engine: ${info.device}, ${info.dtype}; models ${[...models.keys()].join(', ')}; concurrency ${settings.concurrency}.`,
          );
        }
        log.info(analytics.summary());
        storage.startBackground();
      },
    },
    ...gpuComputes(device, () => pool.acquireWhisper(settings.models[0] ?? 'base')),
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

/** A GPU that is listed may still be broken: it hears a second of silence before the first job. */
function gpuComputes(
  device: string,
  acquire: () => ReturnType<ModelPool['acquireWhisper']>,
): FitnessCheck[] {
  if (device === 'cpu' || skipsGpu()) return [];
  return [
    {
      name: 'gpu',
      run: async (signal) => {
        const lease = await acquire();
        const silence = { samples: new Float32Array(16_000), sampleRate: 16_000 };
        try {
          await lease.whisper.transcribe(silence, { language: 'en', temperature: [0], signal });
        } finally {
          lease.release();
        }
      },
    },
  ];
}

/** Variables of RunPod's SDK. */
function skipsGpu(): boolean {
  const { env } = process;
  return ['RUNPOD_SKIP_GPU_CHECK', 'RUNPOD_SKIP_AUTO_SYSTEM_CHECKS'].some(
    (name) => env[name] === 'true',
  );
}

/** What jobs call a model that was given as a folder or repository: "base" for "x/whisper-base". */
function modelName(model: string): string {
  return basename(model).replace(/^(faster-)?whisper-/, '');
}
