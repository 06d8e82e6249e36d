/**
 * The points of time at which the flow is evaluated, in float32 as the reference has them
 * (SWivid/F5-TTS, model/utils.py get_epss_timesteps and model/cfm.py).
 */

/** Points of EPSS (arXiv 2505.19931) in 1/32: few steps, most of them early. */
const epssPoints: Readonly<Record<number, readonly number[]>> = {
  5: [0, 2, 4, 8, 16, 32],
  6: [0, 2, 4, 6, 8, 16, 32],
  7: [0, 2, 4, 6, 8, 16, 24, 32],
  10: [0, 2, 4, 6, 8, 12, 16, 20, 24, 28, 32],
  12: [0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32],
  16: [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32],
};

const round = Math.fround;

export interface ScheduleOptions {
  steps: number;
  /** Bends the schedule; 0 leaves it as it is. */
  swaySamplingCoef: number;
  /** Take the points of EPSS where there are some for this number of steps. */
  epss: boolean;
}

/** Rising from 0 to 1, one more than there are steps. */
export function flowTimes({ steps, swaySamplingCoef, epss }: ScheduleOptions): Float32Array {
  const points = epss ? epssPoints[steps] : undefined;
  const times = points ? Float32Array.from(points, (point) => point / 32) : even(steps);
  return swaySamplingCoef === 0 ? times : times.map((time) => sway(time, swaySamplingCoef));
}

/** torch.linspace(0, 1, steps + 1): counted from the nearer end. */
function even(steps: number): Float32Array {
  const width = round(1 / steps);
  return Float32Array.from({ length: steps + 1 }, (_, i) =>
    i < (steps + 1) / 2 ? round(width * i) : round(1 - round(width * (steps - i))),
  );
}

/** t + s (cos(pi t / 2) - 1 + t) */
function sway(time: number, coefficient: number): number {
  const cosine = round(Math.cos(round(round(Math.PI / 2) * time)));
  return round(time + round(coefficient * round(round(cosine - 1) + time)));
}
