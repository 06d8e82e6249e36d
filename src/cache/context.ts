/** What the parts of the cache share. */
import type { Logger } from '../log.js';
import type { CacheListener } from './events.js';
import type { FolderCheck } from './layout.js';
import type { Tier, Watermarks } from './tier.js';

export interface CacheContext {
  /** Best first. */
  tiers: readonly Tier[];
  /** Roots of caches that other tools fill: read, never written. */
  foreign: readonly string[];
  watermarks: Watermarks;
  /** Asked of folders that other tools fill and leave no record in. */
  lacks: FolderCheck;
  /** Which files of such a folder the repository's model needs; the others stay where they are. */
  needs: (repository: string, files: readonly { path: string; size: number }[]) => string[];
  /** Repositories that this process was started with: as good as pinned while it runs. */
  kept: ReadonlySet<string>;
  /** What was said about models that are corrupt and cannot be taken away, so that it is said once. */
  reported: Set<string>;
  log: Pick<Logger, 'info' | 'warn'> | undefined;
  emit: CacheListener;
}
