import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

let found: string | undefined;

/** Folder of voxpod's package.json, wherever below it this module was compiled or bundled to. */
export function packageRoot(): string {
  found ??= findRoot(dirname(fileURLToPath(import.meta.url)));
  return found;
}

function findRoot(start: string): string {
  for (let at = start; ; at = dirname(at)) {
    const manifest = join(at, 'package.json');
    if (existsSync(manifest) && nameIn(manifest) === 'voxpod') return at;
    if (dirname(at) === at) throw new Error(`There is no package.json of voxpod above ${start}`);
  }
}

function nameIn(manifest: string): unknown {
  const content: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
  return typeof content === 'object' && content !== null && 'name' in content
    ? content.name
    : undefined;
}
