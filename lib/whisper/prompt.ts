/** What the decoder reads before it writes: the text so far, then the transcript's head. */

export interface Prompt {
  tokens: Int32Array;
  /** Where start-of-transcript stands in `tokens`. */
  startOfTranscript: number;
}

/** Tokens of earlier text that fit before a window's head: half of the text context, less the mark. */
export function promptRoom(textContext: number): number {
  return Math.floor(textContext / 2) - 1;
}

/** What a prompt is made of, in tokens. */
export interface PromptParts {
  /** Start-of-transcript with the language, the task and the like. */
  head: readonly number[];
  /** The text before the window. */
  previous: readonly number[];
  /** Words to expect, before the text; cut at its end to what fits. */
  hotwords?: readonly number[];
  /** What the window's own text starts with, cut at its end to what fits. */
  prefix?: readonly number[];
}

/**
 * The text before goes in front of the head behind its own mark, as much of its end as there is room
 * for. Where hotwords or a prefix are long it gives way, so that a quarter of the context is left to
 * write in.
 */
export function buildPrompt(
  { head, previous, hotwords = [], prefix = [] }: PromptParts,
  startOfPrevious: number,
  textContext: number,
): Prompt {
  const most = promptRoom(textContext);
  const expected = hotwords.slice(0, most);
  const start = [...head, ...prefix.slice(0, most)];
  const left = textContext - Math.floor(textContext / 4) - 1 - expected.length - start.length;
  const room = Math.max(0, Math.min(most, left));
  const before = [...expected, ...previous.slice(Math.max(0, previous.length - room))];
  if (before.length === 0) return { tokens: Int32Array.from(start), startOfTranscript: 0 };
  return {
    tokens: Int32Array.from([startOfPrevious, ...before, ...start]),
    startOfTranscript: before.length + 1,
  };
}

/** The text that the next window is prompted with. */
export class PromptHistory {
  readonly #initial: readonly number[];
  readonly #carryInitial: boolean;
  readonly #room: number;
  readonly #tokens: number[];
  /** Tokens before this one are no longer given. */
  #since = 0;

  constructor(initial: readonly number[], carryInitial: boolean, textContext: number) {
    this.#initial = initial;
    this.#carryInitial = carryInitial;
    this.#room = promptRoom(textContext);
    this.#tokens = [...initial];
  }

  add(tokens: readonly number[]): void {
    for (const token of tokens) this.#tokens.push(token);
  }

  /** Forgets all text up to now: what went wrong in it would go on. */
  reset(): void {
    this.#since = this.#tokens.length;
  }

  /** Tokens to prompt the next window with, at most what fits. */
  previous(): readonly number[] {
    if (!this.#carryInitial) return this.#last(this.#since, this.#room);
    // The reference slices by [-0:] where the initial prompt fills the room to the last token, and
    // so loses the prompt it was to carry; here the text gives way to it.
    const room = Math.max(0, this.#room - this.#initial.length);
    const since = Math.max(this.#initial.length, this.#since);
    return [...this.#initial, ...this.#last(since, room)];
  }

  /** At most `count` tokens of the end, none from before `since`. */
  #last(since: number, count: number): readonly number[] {
    return this.#tokens.slice(Math.max(since, this.#tokens.length - count));
  }
}
