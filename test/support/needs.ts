/** What a test needs that may not be there. */
import { loadNative } from '../../lib/binding.js';
import { messageOf } from '../../lib/errors.js';

/** Why the addon cannot be used here, for a test's `skip`; undefined where it can. */
export function nativeProblem(): string | undefined {
  try {
    loadNative();
    return undefined;
  } catch (error) {
    return `no addon: ${messageOf(error).split('\n')[0] ?? ''}`;
  }
}

/** A folder named by the environment, or undefined. */
export function folderFrom(variable: string): string | undefined {
  const folder = process.env[variable];
  return folder === undefined || folder === '' ? undefined : folder;
}

/** Why a test that needs the addon and these folders cannot run, or false. */
export function skipUnless(...needed: [string, string | undefined][]): string | false {
  const problem = nativeProblem();
  if (problem !== undefined) return problem;
  const missing = needed.find(([, value]) => value === undefined);
  return missing === undefined ? false : `${missing[0]} is not set`;
}
