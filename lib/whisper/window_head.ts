/** What a window's transcript starts with: its language and the task. */
import type { Call } from '../calls.js';
import { detectLanguage, type LoadedWhisper, type WindowSource } from './recording.js';
import type { LanguageDetection, TranscribeOptions } from './types.js';

/** Start of transcript, language and task. */
export const longestHead = 3;

export interface WindowHead {
  language: string;
  tokens: readonly number[];
}

/** The heads of windows: the same for all, or each by the language that is heard in it. */
export class HeadSource {
  readonly #loaded: LoadedWhisper;
  readonly #task: TranscribeOptions['task'];
  readonly #detect: ((start: number, frames: number) => Promise<LanguageDetection>) | undefined;
  #last: { start: number; frames: number; head: WindowHead };

  /** `language` counts for every window, unless `windows` are given to hear each one's in. */
  constructor(
    loaded: LoadedWhisper,
    call: Call,
    task: TranscribeOptions['task'],
    language: string,
    windows?: WindowSource,
  ) {
    this.#loaded = loaded;
    this.#task = task;
    if (windows !== undefined && loaded.multilingual) {
      this.#detect = (start, frames) => detectLanguage(loaded, call, windows, start, frames);
    }
    this.#last = { start: -1, frames: 0, head: this.#head(language) };
  }

  /** The head that was given last. */
  get last(): WindowHead {
    return this.#last.head;
  }

  async of(start: number, frames: number): Promise<WindowHead> {
    const last = this.#last;
    if (this.#detect === undefined || (last.start === start && last.frames === frames)) {
      return last.head;
    }
    const { language } = await this.#detect(start, frames);
    this.#last = { start, frames, head: this.#head(language) };
    return this.#last.head;
  }

  #head(language: string): WindowHead {
    const { tokenizer, multilingual } = this.#loaded;
    const { special, languages } = tokenizer;
    const tokens = [special.startOfTranscript];
    const token = languages.get(language);
    if (multilingual && token !== undefined) {
      tokens.push(token, this.#task === 'translate' ? special.translate : special.transcribe);
    }
    return { language, tokens };
  }
}
