/** What the cache does, for whoever counts it: one object for each thing that happened. */
import type { Source } from '../storage/source.js';
import type { TierName } from './tier.js';

/** Where a model was found: a tier, another tool's cache, or in use by this process already. */
export type FoundIn = TierName | 'foreign' | 'memory';

export type CacheEvent =
  | { type: 'hit'; model: string; tier: FoundIn }
  | { type: 'miss'; model: string }
  | {
      type: 'fetched';
      model: string;
      source: Source['kind'];
      tier: TierName;
      /** The published folder, and what names it in the cache. */
      folder: string;
      repository: string;
      commit: string;
      /** Bytes that were not on the disk before. */
      bytes: number;
      seconds: number;
    }
  | { type: 'evicted'; repository: string; tier: TierName; bytes: number }
  | {
      type: 'migrated';
      repository: string;
      from: TierName | 'foreign';
      to: TierName;
      bytes: number;
      seconds: number;
    }
  | { type: 'corrupt'; repository: string; tier: TierName | 'foreign'; reason: string }
  | { type: 'tier-failed'; tier: TierName; reason: string };

export type CacheListener = (event: CacheEvent) => void;
