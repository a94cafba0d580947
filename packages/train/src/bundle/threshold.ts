import { TierwiseError } from '@tierwise/core';
import type { Interval } from '../design/interval.ts';

/** What is known of one sample that the threshold is chosen on. */
export interface ExitSample {
  /** Normalised entropy of the branch's scores. */
  readonly entropy: number;
  readonly branchRight: boolean;
  /** Whether the rest is right, fed with the stem as the deployed codec delivers it. */
  readonly mainRight: boolean;
  /** Bytes of that stem as it is sent. */
  readonly payloadBytes: number;
}

/** What a composite does on its samples at one threshold. */
export interface CurvePoint {
  /** Samples of less entropy exit. 0 lets nobody exit, 1.01 everybody. */
  readonly threshold: number;
  /** Shares. */
  readonly accuracy: number;
  readonly exitRate: number;
  /** Mean over all samples; those that exit send nothing. */
  readonly uploadBytes: number;
}

/** What a threshold has to reach; shares, and mean bytes over all samples. */
export interface ThresholdTargets {
  readonly minAccuracy?: number | undefined;
  readonly maxUploadBytes?: number | undefined;
  readonly minExitRate?: number | undefined;
  readonly maxExitRate?: number | undefined;
}

export interface ThresholdChoice extends CurvePoint {
  /** The best accuracy that any threshold reaches on these samples. */
  readonly bestAccuracy: number;
}

/**
 * Every distinct behaviour of the composite, from nobody exits to everybody does: LcDNN's Fig. 14 as data. With the
 * samples sorted by entropy a threshold between two neighbours lets the ones below exit, so one sweep gives all points:
 * O(n log n). Each threshold lies halfway between its neighbours; samples of equal entropy exit together or not at all.
 */
export function exitCurve(samples: readonly ExitSample[]): CurvePoint[] {
  const sorted = [...samples].sort((a, b) => a.entropy - b.entropy);
  const n = sorted.length;
  let hits = sorted.reduce((sum, s) => sum + Number(s.mainRight), 0);
  let bytes = sorted.reduce((sum, s) => sum + s.payloadBytes, 0);
  const points: CurvePoint[] = [];
  for (let k = 0; k <= n; k++) {
    if (k > 0) {
      const s = sorted[k - 1]!;
      hits += Number(s.branchRight) - Number(s.mainRight);
      bytes -= s.payloadBytes;
    }
    const [below, above] = [sorted[k - 1]?.entropy, sorted[k]?.entropy];
    if (below !== undefined && below === above) continue;
    const threshold = below === undefined ? 0 : above === undefined ? 1.01 : (below + above) / 2;
    points.push({ threshold, accuracy: hits / n, exitRate: k / n, uploadBytes: bytes / n });
  }
  return points;
}

/** What the composite does on `samples` at any `threshold`. */
export function atThreshold(samples: readonly ExitSample[], threshold: number): CurvePoint {
  const n = samples.length;
  const exits = samples.map(({ entropy }) => entropy < threshold);
  const total = (of: (sample: ExitSample, exits: boolean) => number) =>
    samples.reduce((sum, sample, i) => sum + of(sample, exits[i]!), 0);
  return {
    threshold,
    accuracy: total((s, out) => Number(out ? s.branchRight : s.mainRight)) / n,
    exitRate: total((_, out) => Number(out)) / n,
    uploadBytes: total((s, out) => (out ? 0 : s.payloadBytes)) / n,
  };
}

/**
 * How much larger the composite's share is at `threshold` than that of the network alone, on the same samples, with its 95 %
 * interval. Of n samples g are right and l wrong for exiting: (g - l) / n, whose variance is (g + l - (g - l)^2 / n) / n^2.
 * A threshold that was chosen on these samples is the best of many, so on others expect less.
 */
export function gainOfExits(
  samples: readonly ExitSample[],
  threshold: number,
): { readonly gain: number; readonly interval: Interval } {
  const n = samples.length;
  const changed = samples.filter((s) => s.entropy < threshold && s.branchRight !== s.mainRight);
  const gained = changed.filter(({ branchRight }) => branchRight).length;
  const more = 2 * gained - changed.length;
  const half = (1.959964 * Math.sqrt(changed.length - more ** 2 / n)) / n;
  return { gain: more / n, interval: [more / n - half, more / n + half] };
}

/**
 * The exact form of what LcDNN's algorithm 2 searches for. Among the thresholds that reach `targets` it takes the
 * largest with an accuracy within `tolerance` of the best of them; where an accuracy is among the targets, the largest
 * of them. Larger thresholds send less. The best of many thresholds is partly chance; `minExitRate` and `maxExitRate` close
 * to each other leave it little room.
 *
 * `samples` must not be the test set. With n samples an accuracy is known to about sqrt(a (1 - a) / n).
 * @throws TierwiseError USAGE when no threshold reaches the targets, with what can be reached
 */
export function chooseThreshold(
  samples: readonly ExitSample[],
  tolerance: number,
  targets: ThresholdTargets = {},
): ThresholdChoice {
  const curve = exitCurve(samples);
  const {
    minAccuracy = 0,
    maxUploadBytes = Number.POSITIVE_INFINITY,
    minExitRate = 0,
    maxExitRate = 1,
  } = targets;
  const frugal = curve.filter(
    (p) => p.uploadBytes <= maxUploadBytes && p.exitRate >= minExitRate && p.exitRate <= maxExitRate,
  );
  if (frugal.length === 0) {
    const asked = Object.entries(targets).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name} ${value}`],
    );
    throw new TierwiseError(
      'USAGE',
      `no threshold reaches these targets together on these ${samples.length} samples: ${asked.join(', ')}`,
    );
  }
  const best = Math.max(...frugal.map((p) => p.accuracy));
  if (best < minAccuracy)
    throw new TierwiseError(
      'USAGE',
      `no threshold reaches an accuracy of ${minAccuracy} ${frugal.length < curve.length ? 'together with the other targets ' : ''}on these ${samples.length} samples: the best is ${best.toPrecision(4)}`,
      { best, minAccuracy },
    );
  // Shares are quotients of counts: a difference that is equal on paper may be off in the last bit.
  const least = targets.minAccuracy ?? best - tolerance - 1e-12;
  const chosen = frugal.findLast((p) => p.accuracy >= least)!;
  return { ...chosen, bestAccuracy: Math.max(...curve.map((p) => p.accuracy)) };
}

/**
 * LcDNN's algorithm 2 as printed, to be compared with the exact sweep: 0.5 is moved by steps of 0.1 down to 0.00001,
 * 600 passes over the samples with each, by one step for every sample.
 *
 * The listing says only d = -1 (one step up), for samples that exit and are right or stay and are wrong; taken by
 * itself the threshold could only grow. Read here with the missing d = +1 for all others and kept within 0..1. It
 * rewards every right exit and knows nothing of the main network, so it walks towards 1 where the branch is mostly
 * right and stops wherever the last pass ends. Source: LcDNN (IEEE TMC, doi 10.1109/TMC.2020.3043051), algorithm 2.
 */
export function printedThreshold(samples: readonly ExitSample[], passes = 600): number {
  let threshold = 0.5;
  for (const step of [0.1, 0.01, 0.001, 0.0001, 0.00001])
    for (let pass = 0; pass < passes; pass++)
      for (const { entropy, branchRight } of samples) {
        const up = branchRight ? entropy < threshold : entropy > threshold;
        threshold = Math.min(1, Math.max(0, threshold + (up ? step : -step)));
      }
  return threshold;
}
