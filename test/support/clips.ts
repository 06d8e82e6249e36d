/** Clips of real speech in the folder that VOXPOD_TEST_AUDIO names: NAME.wav, what is said in NAME.txt. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Clip {
  name: string;
  /** Path of the file. */
  audio: string;
  /** What is said. */
  text: string;
}

/** Clips whose name ends in another language's code, as "_zh", are left out. */
export function englishClips(folder: string): Clip[] {
  const clips = readdirSync(folder)
    .filter((name) => name.endsWith('.wav') && !/_(?!en)[a-z]{2}\.wav$/.test(name))
    .sort()
    .map((name) => {
      const audio = join(folder, name);
      return { name, audio, text: readFileSync(audio.replace(/wav$/, 'txt'), 'utf8').trim() };
    });
  if (clips.length === 0) throw new Error(`There are no English clips in ${folder}`);
  return clips;
}
