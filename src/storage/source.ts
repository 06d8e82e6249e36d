/** What a place that model files come from gives: the store's contract with hub, mirror and bucket. */
import type { Digest } from './http_download.js';

export interface SourceFile {
  /** Below the model's folder, with forward slashes. */
  path: string;
  size: number;
  digest: Digest;
}

/** A model as a source offers it, before anything of size was fetched. */
export interface SourceListing {
  /** "org/name": names the folder in the cache. */
  repository: string;
  /** Names this state of the files: a commit, 40 hexadecimal digits. */
  commit: string;
  files: SourceFile[];
  /** Bytes of disk wanted while fetching, beyond the files themselves. */
  scratchBytes: number;
}

export interface FetchContext {
  signal: AbortSignal;
  /** Bytes received so far, of how many. */
  onProgress: (bytes: number, total: number) => void;
  log: (line: string) => void;
}

export interface Source {
  /** For messages: "the hub https://...". */
  readonly description: string;
  readonly kind: 's3' | 'hub' | 'mirror';
  list(context: FetchContext): Promise<SourceListing>;
  /**
   * Leaves every file of the listing in `folder` under its digest's hex digits, verified and
   * synced. Files that lie there already, whole or in part, may be made use of.
   */
  fetch(listing: SourceListing, folder: string, context: FetchContext): Promise<void>;
}
