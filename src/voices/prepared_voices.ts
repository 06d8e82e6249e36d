/** Recordings made ready to be voices: each once, by its content, as long as it is used now and then. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { Voice, type Transcriber } from '../../lib/index.js';
import { SharedTasks } from '../models/shared_tasks.js';

export interface VoiceSource {
  /** Encoded bytes, or the path of a file. */
  audio: Uint8Array | string;
  /** What is said in it; undefined: it is heard. */
  text: string | undefined;
  targetRms: number | undefined;
}

/** Some 1.5 MB each. */
const MOST_VOICES = 64;

export class PreparedVoices {
  readonly #voices = new Map<string, Voice>();
  readonly #preparing = new SharedTasks<Voice, never>();

  /**
   * `hearing` names what the transcriber hears with: another may hear something else. A voice that is
   * given up by all who wait for it is not prepared any further.
   * @throws what `Voice.prepare` throws; the signal's reason
   */
  async prepare(
    { audio, text, targetRms }: VoiceSource,
    hearing: { name: string; transcriber: Transcriber },
    signal: AbortSignal,
  ): Promise<Voice> {
    const content = await digest(audio, signal);
    const key = JSON.stringify([content, text ?? null, targetRms ?? null, hearing.name]);
    const known = this.#voices.get(key);
    if (known !== undefined) {
      // The most recently used is the last to go.
      this.#voices.delete(key);
      this.#voices.set(key, known);
      return known;
    }
    return this.#preparing.run(key, { signal }, async (whileWanted) => {
      const voice = await Voice.prepare(audio, {
        ...{ transcriber: hearing.transcriber, signal: whileWanted },
        ...(text === undefined ? {} : { text }),
        ...(targetRms === undefined ? {} : { targetRms }),
      });
      this.#voices.set(key, voice);
      const [oldest] = this.#voices.keys();
      if (this.#voices.size > MOST_VOICES && oldest !== undefined) this.#voices.delete(oldest);
      return voice;
    });
  }
}

async function digest(audio: Uint8Array | string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  if (typeof audio === 'string') await pipeline(createReadStream(audio), hash, { signal });
  else hash.update(audio);
  return hash.digest('hex');
}
