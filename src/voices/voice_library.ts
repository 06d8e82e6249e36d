/**
 * Voices that have a name, in the folder VOXPOD_VOICES. A voice is a recording with, mostly, what is
 * said in it and settings: anna.wav, anna.txt and anna.json, or the same in a folder anna.
 */
import { readFile, readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { z } from 'zod';
import { messageOf, VoxpodError } from '../../lib/errors.js';
import type { SpeakOptions } from '../../lib/index.js';
import { didYouMean, nearest } from '../../lib/validate.js';

/** As ffmpeg reads them; WAV is read without it. */
const AUDIO = ['.wav', '.flac', '.mp3', '.ogg', '.opus', '.m4a', '.webm'];

const settingsSchema = z.strictObject({
  /** What is said in the recording; instead of a .txt. */
  text: z.string().min(1).max(2000).optional(),
  speed: z.number().min(0.3).max(3).optional(),
  steps: z.number().int().min(1).max(128).optional(),
  cfg_strength: z.number().min(0).max(10).optional(),
  sway_sampling_coef: z.number().min(-1).max(1).optional(),
  cross_fade: z.number().min(0).max(1).optional(),
  remove_silence: z.boolean().optional(),
  target_rms: z.number().min(0.001).max(0.5).optional(),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
});

/** Take the place of the defaults of a job that does not say otherwise. */
export type VoiceSettings = Omit<z.output<typeof settingsSchema>, 'text'>;

/** The library's options for settings, or for a job's fields of the same names. */
export function settingsOptions(settings: {
  [Name in keyof VoiceSettings]: VoiceSettings[Name] | null;
}): Omit<SpeakOptions, 'voice' | 'voices'> {
  const options = {
    seed: settings.seed,
    steps: settings.steps,
    cfgStrength: settings.cfg_strength,
    swaySamplingCoef: settings.sway_sampling_coef,
    speed: settings.speed,
    crossFade: settings.cross_fade,
    removeSilence: settings.remove_silence,
  };
  const given = Object.entries(options).filter(([, value]) => value != null);
  return Object.fromEntries(given);
}

export interface NamedVoiceFiles {
  name: string;
  /** Path of the recording. */
  audio: string;
  /** What is said in it, where that is known. */
  text: string | undefined;
  settings: VoiceSettings;
}

/** What a job or a tag in a text may call a voice: never a path. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export class VoiceLibrary {
  readonly #folder: string | undefined;

  /** Without a folder there are no voices. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  static fromEnvironment(env: NodeJS.ProcessEnv = process.env): VoiceLibrary {
    return new VoiceLibrary(env['VOXPOD_VOICES'] || undefined);
  }

  /** Names of all voices, sorted. @throws VoxpodError VOICE_INVALID where the folder cannot be read */
  async names(): Promise<string[]> {
    if (this.#folder === undefined) return [];
    const names = new Set<string>();
    for (const entry of await entriesOf(this.#folder)) {
      const isAudio = AUDIO.includes(extname(entry.name).toLowerCase());
      const name = entry.isDirectory() ? entry.name : stemOf(entry.name);
      if ((entry.isDirectory() || isAudio) && NAME.test(name)) names.add(name);
    }
    return [...names].sort();
  }

  /**
   * The files are read anew each time, so that voices come and go while a worker runs.
   * @throws VoxpodError VOICE_UNKNOWN, VOICE_INVALID
   */
  async find(name: string): Promise<NamedVoiceFiles> {
    const names = await this.names();
    if (this.#folder === undefined || !names.includes(name)) throw unknown(name, names);
    const entries = await entriesOf(this.#folder);
    if (!entries.some((entry) => entry.isDirectory() && entry.name === name)) {
      return readVoice(
        name,
        this.#folder,
        entries.flatMap((entry) => (stemOf(entry.name) === name ? [entry.name] : [])),
      );
    }
    const folder = join(this.#folder, name);
    return readVoice(
      name,
      folder,
      (await entriesOf(folder)).map((entry) => entry.name),
    );
  }
}

/** @throws VoxpodError VOICE_INVALID */
export async function readVoiceFolder(folder: string): Promise<NamedVoiceFiles> {
  return readVoice(
    folder,
    folder,
    (await entriesOf(folder)).map((entry) => entry.name),
  );
}

async function readVoice(
  name: string,
  folder: string,
  files: readonly string[],
): Promise<NamedVoiceFiles> {
  const one = (what: string, extensions: readonly string[]): string | undefined => {
    const found = files.filter((file) => extensions.includes(extname(file).toLowerCase()));
    if (found.length < 2) return found[0];
    throw invalid(name, `has more than one ${what}: ${found.sort().join(', ')}`);
  };
  const audio = one('recording', AUDIO);
  if (audio === undefined) throw invalid(name, `has no recording (${AUDIO.join(', ')})`);
  const [textFile, settingsFile] = [one('text', ['.txt']), one('file of settings', ['.json'])];
  try {
    const text = textFile && (await readFile(join(folder, textFile), 'utf8')).trim();
    const json = settingsFile && (await readFile(join(folder, settingsFile), 'utf8'));
    const { text: own, ...settings } = json ? settingsSchema.parse(JSON.parse(json)) : {};
    return { name, audio: join(folder, audio), text: text || own, settings };
  } catch (error) {
    throw invalid(name, problemOf(error), error);
  }
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw new VoxpodError(
      'VOICE_INVALID',
      `The folder of voices ${folder} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

const stemOf = (file: string): string => file.slice(0, file.length - extname(file).length);

function problemOf(error: unknown): string {
  if (!(error instanceof z.ZodError)) return `cannot be read: ${messageOf(error)}`;
  const problems = error.issues.map(({ path, message }) => `${path.join('.')} ${message}`.trim());
  return `has wrong settings: ${problems.join('; ')}`;
}

function invalid(name: string, problem: string, cause?: unknown): VoxpodError {
  return new VoxpodError('VOICE_INVALID', `The voice ${name} ${problem}`, { cause });
}

function unknown(name: string, names: readonly string[]): VoxpodError {
  const known =
    names.length === 0
      ? ' There are none: VOXPOD_VOICES names no folder with voices.'
      : ` Known voices: ${names.slice(0, 50).join(', ')}.`;
  return new VoxpodError(
    'VOICE_UNKNOWN',
    `There is no voice ${JSON.stringify(name.slice(0, 100))}.${didYouMean(nearest(name, names))}${known}`,
  );
}
