/**
 * Thresholds of a program as kernels compare them.
 *
 * Of sums. A sum of n products of +-1 with m mismatches is n - 2 m, so with a whole number t
 *     sum >= t   is   m <= (n - t) / 2   is   m < floor((n - t) / 2) + 1,
 *     sum <= t   is   m >= (n - t) / 2   is   not m < ceil((n - t) / 2).
 * Both are m < limit, the second turned round, and limits outside of 0..n + 1 may be taken as the nearer of the two.
 * A kernel counts mismatches from -limit on: the sign of the count is the bit. Kernels never negate weights: turning
 * bits round costs one xor for 64 channels, and unlike that it stays right after pooling. The greatest sum of a window
 * is >= t when any is, the or of bits; it is <= t when not any is > t, and m < ceil((n - t) / 2) is sum > t: the or
 * of bits again, turned round afterwards.
 */

import { roundUp } from './layout.ts';

export interface SumThresholds {
  /** Minus the limits, int16, filled up with zeros: a channel that does not exist has limit 0, so its bit is 0. */
  readonly starts: Int16Array;
  /** Bit k: channel k is turned round. */
  readonly inverts: Uint8Array;
}

/** `terms` at most 32767. The arrays are filled up to 64 channels. */
export function sumThresholds(
  thresholds: ArrayLike<number>,
  flip: Uint8Array | undefined,
  terms: number,
): SumThresholds {
  const lanes = roundUp(thresholds.length, 64);
  const starts = new Int16Array(lanes);
  const inverts = new Uint8Array(lanes / 8);
  for (let k = 0; k < thresholds.length; k++) {
    const half = (terms - thresholds[k]!) / 2;
    const limit = flip?.[k] ? Math.ceil(half) : Math.floor(half) + 1;
    starts[k] = -Math.min(Math.max(limit, 0), terms + 1);
    if (flip?.[k]) inverts[k >> 3]! |= 1 << (k & 7);
  }
  return { starts, inverts };
}

export interface RealThresholds {
  readonly thresholds: Float32Array;
  /** The sign bit, where x <= t is compared as -x >= -t. */
  readonly signs: Uint32Array;
}

/**
 * Thresholds of real values, or of sums that are held as float32: `most` is then the greatest sum, and thresholds
 * beyond it, which float32 might round to it, become infinite. Filled up to 8 channels with NaN, which gives bit 0.
 */
export function realThresholds(
  limits: ArrayLike<number>,
  flip: Uint8Array | undefined,
  most = Infinity,
): RealThresholds {
  const lanes = roundUp(limits.length, 8);
  const thresholds = new Float32Array(lanes).fill(Number.NaN);
  const signs = new Uint32Array(lanes);
  for (let k = 0; k < limits.length; k++) {
    const limit = limits[k]!;
    const reachable = limit > most ? Infinity : limit < -most ? -Infinity : limit;
    thresholds[k] = flip?.[k] ? -reachable : reachable;
    if (flip?.[k]) signs[k] = 0x80000000;
  }
  return { thresholds, signs };
}
