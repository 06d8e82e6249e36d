/** What tests with real weights need; they skip with the reason where it is not there. */
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
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

/** Puts Silero's weights, from a folder of that one file, where a tier has them. */
export function placeSilero(weights: string, tier: string): void {
  const home = join(tier, 'models--voxpod-mirror--silero-vad');
  const commit = 'b'.repeat(40);
  const snapshot = join(home, 'snapshots', commit);
  mkdirSync(snapshot, { recursive: true });
  mkdirSync(join(home, 'refs'));
  writeFileSync(join(home, 'refs', 'main'), commit);
  const name = readdirSync(weights).find((file) => file.endsWith('.safetensors')) ?? '';
  cpSync(join(weights, name), join(snapshot, 'silero_vad_v6.safetensors'), { dereference: true });
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
