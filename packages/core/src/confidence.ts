/**
 * Softmax of `logits` in float64, shifted by the maximum so that no exponential overflows.
 * The result sums to 1 within rounding. O(n).
 */
export function softmax(logits: ArrayLike<number>): Float64Array {
  const p = new Float64Array(logits.length);
  let max = -Infinity;
  for (let i = 0; i < p.length; i++) max = Math.max(max, logits[i]!);
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum += p[i] = Math.exp(logits[i]! - max);
  for (let i = 0; i < p.length; i++) p[i]! /= sum;
  return p;
}

/**
 * Normalised entropy S(p) = -sum p_i ln p_i / ln C, in [0, 1]; 0 is certain, 1 is uniform.
 * Probabilities are clamped at 1e-9 before the logarithm, as in the DDNN authors' code.
 * Source: LcDNN (IEEE TMC, doi 10.1109/TMC.2020.3043051), section 3; a sample exits when S < threshold, strictly.
 */
export function normalizedEntropy(probabilities: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = Math.max(probabilities[i]!, 1e-9);
    sum -= p * Math.log(p);
  }
  return Math.min(1, Math.max(0, sum / Math.log(Math.max(2, probabilities.length))));
}

/**
 * log sum exp of `logits`: the negative free energy of Liu et al. 2020 (Energy-based out-of-distribution detection, eq. 4).
 * Softmax forgets how large scores were; this does not. `probabilities` are their softmax.
 */
export function energyOf(logits: ArrayLike<number>, probabilities = softmax(logits)): number {
  const best = argmax(logits);
  return logits[best]! - Math.log(probabilities[best]!);
}

/** Index of the largest value; the first one on a tie; -1 when empty. */
export function argmax(values: ArrayLike<number>): number {
  let best = -1;
  for (let i = 0; i < values.length; i++) if (best < 0 || values[i]! > values[best]!) best = i;
  return best;
}
