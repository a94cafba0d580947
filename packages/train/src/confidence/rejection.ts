import { energyOf } from './calibration.ts';

/** "None of these": pictures whose energy is below a threshold are far from all that the branch has learnt. */
export interface Rejection {
  /** Energy below which a picture is rejected. */
  readonly threshold: number;
  /** Share of known test pictures that are rejected, each wrongly. */
  readonly knownRejected: number;
  /** Share of the strangers that are rejected, each rightly. */
  readonly strangersRejected: number;
  /** Probability that a known picture has more energy than a stranger: 1 tells them apart, 0.5 does not. */
  readonly auroc: number;
}

/** Share of held-back pictures that a threshold rejects. */
export const rejectedShare = 0.05;

/** Energy of each row of scores [samples, classes], ascending. */
export function energies(scores: Float32Array, classes: number): Float64Array {
  return Float64Array.from({ length: scores.length / classes }, (_, i) =>
    energyOf(scores.subarray(i * classes, (i + 1) * classes)),
  ).sort();
}

/**
 * The threshold from pictures that the training held back, and what it does to known test pictures and to strangers; all
 * three as ascending energies, none empty.
 */
export function rejectionOf(held: Float64Array, known: Float64Array, strangers: Float64Array): Rejection {
  const threshold = held[Math.floor(rejectedShare * held.length)]!;
  let pairs = 0;
  for (const energy of strangers) {
    const [below, notAbove] = [countBelow(known, energy), countBelow(known, energy, true)];
    pairs += known.length - notAbove + (notAbove - below) / 2;
  }
  return {
    threshold,
    knownRejected: countBelow(known, threshold) / known.length,
    strangersRejected: countBelow(strangers, threshold) / strangers.length,
    auroc: pairs / (known.length * strangers.length),
  };
}

/** How many of ascending numbers are below `value`, or not above it. */
function countBelow(ascending: Float64Array, value: number, orEqual = false): number {
  let [lo, hi] = [0, ascending.length];
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    const at = ascending[middle]!;
    if (at < value || (orEqual && at === value)) lo = middle + 1;
    else hi = middle;
  }
  return lo;
}
