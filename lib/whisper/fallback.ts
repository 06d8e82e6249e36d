/** Decodes a window again at higher temperatures while the text looks wrong. */

export interface Attempt {
  /** Without end of text. */
  tokens: number[];
  temperature: number;
  avgLogProb: number;
  compressionRatio: number;
  noSpeechProb: number;
}

export interface Thresholds {
  /** Above it a text is too repetitive; null: off. */
  compressionRatioThreshold: number | null;
  /** Below it a text is too unlikely; null: off. */
  logProbThreshold: number | null;
  /** Above it, an unlikely text is silence; null: off. */
  noSpeechThreshold: number | null;
}

function isUnlikely(attempt: Attempt, { logProbThreshold }: Thresholds): boolean {
  return logProbThreshold !== null && attempt.avgLogProb < logProbThreshold;
}

function isQuiet(attempt: Attempt, { noSpeechThreshold }: Thresholds): boolean {
  return noSpeechThreshold !== null && attempt.noSpeechProb > noSpeechThreshold;
}

/** Whether the next temperature should be tried. */
export function needsFallback(attempt: Attempt, thresholds: Thresholds): boolean {
  const { compressionRatioThreshold } = thresholds;
  const unlikely = isUnlikely(attempt, thresholds);
  // Silence decodes to something unlikely at any temperature.
  if (unlikely && isQuiet(attempt, thresholds)) return false;
  const repetitive =
    compressionRatioThreshold !== null && attempt.compressionRatio > compressionRatioThreshold;
  return repetitive || unlikely;
}

/** Whether a window holds no speech, so that its text is dropped. */
export function isSilence(attempt: Attempt, thresholds: Thresholds): boolean {
  const { logProbThreshold } = thresholds;
  const likely = logProbThreshold !== null && attempt.avgLogProb > logProbThreshold;
  return isQuiet(attempt, thresholds) && !likely;
}

/** The first attempt that passes, or the last one. `temperatures` is not empty. */
export async function decodeWithFallback(
  temperatures: readonly number[],
  thresholds: Thresholds,
  decode: (temperature: number, index: number) => Promise<Attempt>,
): Promise<Attempt> {
  const last = temperatures.length - 1;
  for (const [index, temperature] of temperatures.entries()) {
    const attempt = await decode(temperature, index);
    if (index === last || !needsFallback(attempt, thresholds)) return attempt;
  }
  throw new RangeError('There is no temperature to decode at');
}
