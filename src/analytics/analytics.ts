/**
 * What storage did for this process: hits and misses, bytes and seconds by source, evictions,
 * migrations, corruption, and how long each phase of the start took. Kept in a JSON file beside the
 * temporary files, where a metrics agent can read it; a line of it is in the log.
 */
import type { CacheEvent, FoundIn } from '../cache/events.js';
import type { TierName } from '../cache/tier.js';
import type { Logger } from '../log.js';
import { formatBytes } from '../storage/disk.js';
import { publishFile } from '../storage/publish.js';
import { messageOf } from '../../lib/errors.js';

/** Times, bytes and seconds, added up. */
export interface Transfer {
  count: number;
  bytes: number;
  seconds: number;
}

export interface AnalyticsReport {
  /** When this process began to count, in ISO 8601. */
  since: string;
  /** Of the last change. */
  updated: string;
  hits: Partial<Record<FoundIn, number>>;
  misses: number;
  /** By where models came from: "s3", "hub", "mirror". */
  fetched: Record<string, Transfer>;
  /** By the tier that models went to. */
  migrated: Partial<Record<TierName, Transfer>>;
  evicted: Partial<Record<TierName, { count: number; bytes: number }>>;
  corrupt: number;
  tierFailures: number;
  /** Phases of the start in seconds, in their order. */
  coldStart: { phase: string; seconds: number }[];
}

/** Events come in bursts: one write for all of them. */
const WRITE_AFTER_MS = 500;

export class Analytics {
  readonly #file: string | undefined;
  readonly #log: Pick<Logger, 'info' | 'debug'> | undefined;
  readonly #report: AnalyticsReport;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  /** `file`: where the report is kept; none is written without. */
  constructor(options: { file?: string; log?: Pick<Logger, 'info' | 'debug'> } = {}) {
    this.#file = options.file;
    this.#log = options.log;
    const since = new Date().toISOString();
    this.#report = {
      ...{ since, updated: since, hits: {}, misses: 0, fetched: {}, migrated: {}, evicted: {} },
      ...{ corrupt: 0, tierFailures: 0, coldStart: [] },
    };
  }

  get report(): AnalyticsReport {
    return structuredClone(this.#report);
  }

  /** For the store's `events`. */
  readonly listen = (event: CacheEvent): void => {
    const report = this.#report;
    switch (event.type) {
      case 'hit':
        report.hits[event.tier] = (report.hits[event.tier] ?? 0) + 1;
        break;
      case 'miss':
        report.misses += 1;
        break;
      case 'fetched':
        report.fetched[event.source] = added(report.fetched[event.source], event);
        break;
      case 'migrated':
        report.migrated[event.to] = added(report.migrated[event.to], event);
        break;
      case 'evicted': {
        const { count, bytes } = report.evicted[event.tier] ?? { count: 0, bytes: 0 };
        report.evicted[event.tier] = { count: count + 1, bytes: bytes + event.bytes };
        break;
      }
      case 'corrupt':
        report.corrupt += 1;
        break;
      case 'tier-failed':
        report.tierFailures += 1;
    }
    this.#changed();
  };

  /** Times a phase of the start, whether it succeeds or not. */
  async phase<T>(name: string, work: () => T | Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.addPhase(name, (performance.now() - started) / 1000);
    }
  }

  addPhase(phase: string, seconds: number): void {
    this.#report.coldStart.push({ phase, seconds: Number(seconds.toFixed(3)) });
    this.#changed();
  }

  /** One line on the start and on what it had to fetch. */
  summary(): string {
    const { coldStart, fetched } = this.#report;
    const phases = coldStart.map(({ phase, seconds }) => `${phase} ${seconds.toFixed(2)} s`);
    const sources = Object.entries(fetched).map(
      ([source, { bytes, seconds }]) =>
        `${formatBytes(bytes)} from ${source} at ${formatBytes(bytes / Math.max(seconds, 1e-3))}/s`,
    );
    return `Start: ${phases.join(', ')}${sources.length === 0 ? '' : `; fetched ${sources.join(', ')}`}.`;
  }

  /** Writes what is not written yet. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#timer !== undefined) this.#write();
    this.#timer = undefined;
    await this.#writing;
  }

  #changed(): void {
    this.#report.updated = new Date().toISOString();
    if (this.#file === undefined || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#write();
    }, WRITE_AFTER_MS);
    this.#timer.unref();
  }

  #write(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#writing = this.#writing.then(async () => {
      try {
        await publishFile(file, JSON.stringify(this.#report, null, 2) + '\n');
      } catch (error) {
        this.#log?.debug(`The analytics could not be written to ${file}: ${messageOf(error)}`);
      }
    });
  }
}

function added(
  sum: Transfer | undefined,
  { bytes, seconds }: { bytes: number; seconds: number },
): Transfer {
  return {
    count: (sum?.count ?? 0) + 1,
    bytes: (sum?.bytes ?? 0) + bytes,
    seconds: Number(((sum?.seconds ?? 0) + seconds).toFixed(3)),
  };
}
