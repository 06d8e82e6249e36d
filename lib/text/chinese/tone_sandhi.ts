/**
 * How tones change within a phrase, as pypinyin 0.55 does it (contrib/tone_sandhi.py), its shortcuts
 * included. Syllables have their tone as a digit at the end; the neutral tone has none.
 */
const withTone = (syllable: string, tone: string): string => syllable.replace(/\d/g, tone);
const hasTone = (syllable: string | undefined, tone: string): boolean =>
  syllable?.includes(tone) === true;

/** @param phrase as many characters as there are syllables. */
export function applyToneSandhi(phrase: string, syllables: readonly string[]): string[] {
  const changed = raiseThirdTones(syllables);
  changeBefore(phrase, '不', '4', changed);
  changeBefore(phrase, '一', '1', changed);
  return changed;
}

/**
 * Of third tones that end a phrase in a row all but the last become second tones. Where such a row does
 * not begin the phrase, it is the phrase's first third tones that change.
 */
function raiseThirdTones(syllables: readonly string[]): string[] {
  let row = 0;
  for (const syllable of syllables) row = hasTone(syllable, '3') ? row + 1 : 0;
  let left = Math.max(0, row - 1);
  return syllables.map((syllable) => {
    if (left === 0 || !hasTone(syllable, '3')) return syllable;
    left--;
    return syllable.replaceAll('3', '2');
  });
}

/** 不 and 一 have the second tone before a fourth one, and else their own (一: the fourth). */
function changeBefore(phrase: string, character: string, last: string, syllables: string[]): void {
  const { length } = syllables;
  for (let i = 0; i < length; i++) {
    if (phrase[i] !== character) continue;
    const syllable = syllables[i] ?? '';
    if (i === length - 1) syllables[i] = withTone(syllable, last);
    else if (hasTone(syllables[i + 1], '4')) syllables[i] = syllable.replaceAll('4', '2');
    else syllables[i] = withTone(syllable, '4');
  }
}
