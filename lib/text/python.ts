/**
 * Python's habits where they differ from JavaScript's and a result depends on them: Whisper's
 * reference is written in Python.
 */

/** Rounds half to even, as Python's round() does; Math.round rounds half up. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

// str.isspace() holds for the four separators U+001C to U+001F and for U+0085, which trim() keeps,
// and not for the byte order mark, which trim() removes.
/** A class for patterns. */
export const PYTHON_SPACE =
  '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const leading = new RegExp(`^${PYTHON_SPACE}+`, 'u');
const all = new RegExp(`^${PYTHON_SPACE}$`, 'u');

/** Removes what Python's str.strip() removes from both ends. */
export function strip(text: string): string {
  // From the end by hand: a pattern anchored there alone takes quadratic time on inner spaces.
  let end = text.length;
  while (end > 0 && all.test(text.charAt(end - 1))) end--;
  return text.slice(0, end).replace(leading, '');
}
