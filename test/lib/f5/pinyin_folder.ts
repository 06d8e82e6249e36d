/** pypinyin's dictionaries, where tests have them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { folderFrom } from '../whisper/support.js';

/** The folder pypinyin in VOXPOD_TEST_MODELS, or undefined. */
export function pinyinFolder(): string | undefined {
  const folder = join(folderFrom('VOXPOD_TEST_MODELS') ?? '', 'pypinyin');
  return existsSync(join(folder, 'phrases_dict.json')) ? folder : undefined;
}
