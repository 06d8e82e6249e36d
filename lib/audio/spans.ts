/** Stretches of a recording. */

/** A stretch of a recording, in seconds. */
export interface AudioSpan {
  start: number;
  end: number;
}

/** Seconds that the spans of two lists have in common. Each list is in order, without overlaps. */
export function commonSeconds(a: readonly AudioSpan[], b: readonly AudioSpan[]): number {
  let [i, j, sum] = [0, 0, 0];
  for (;;) {
    const [left, right] = [a[i], b[j]];
    if (left === undefined || right === undefined) return sum;
    sum += Math.max(0, Math.min(left.end, right.end) - Math.max(left.start, right.start));
    if (left.end < right.end) i++;
    else j++;
  }
}
