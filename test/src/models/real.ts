/** What tests with real weights need; they skip with the reason where it is not there. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadNative } from '../../../lib/binding.js';
import { messageOf } from '../../../lib/errors.js';

const models = process.env['VOXPOD_TEST_MODELS'] ?? '';
const audio = process.env['VOXPOD_TEST_AUDIO'] ?? '';

export const tinyFolder = join(models, 'whisper-tiny.en');
export const baseFolder = join(models, 'faster-whisper-base');

/** A clip of real speech by its name. */
export function clip(name: string): string {
  return join(audio, name);
}

/** Why tests with the addon and real weights cannot run, or false. */
export function whyNotReal(needsAudio: boolean): string | false {
  if (!existsSync(tinyFolder) || !existsSync(baseFolder)) {
    return 'VOXPOD_TEST_MODELS names no folder with whisper-tiny.en and faster-whisper-base';
  }
  if (needsAudio && !existsSync(clip('jfk.wav')))
    return 'VOXPOD_TEST_AUDIO names no folder of clips';
  try {
    loadNative();
    return false;
  } catch (error) {
    return `the addon cannot be loaded: ${messageOf(error).split('\n', 1)[0] ?? ''}`;
  }
}
