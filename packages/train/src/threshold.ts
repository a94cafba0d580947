/** What is known of one sample that the threshold is chosen on. */
export interface ExitSample {
  /** Normalised entropy of the branch's scores. */
  readonly entropy: number;
  readonly branchRight: boolean;
  /** Whether the rest is right, fed with the stem as the deployed codec delivers it. */
  readonly mainRight: boolean;
}

export interface ThresholdChoice {
  readonly threshold: number;
  /** Of the composite at this threshold on these samples, shares. */
  readonly accuracy: number;
  readonly exitRate: number;
  /** The best accuracy that any threshold reaches on these samples. */
  readonly bestAccuracy: number;
}

/**
 * The largest threshold whose composite accuracy is within `tolerance` of the best: the exact form of LcDNN's
 * algorithm 2, which as printed is a random walk (systems.md section 6.4). With the samples sorted by entropy, a
 * threshold between two neighbours lets the ones below exit, so all accuracies come from one sweep: O(n log n).
 * The threshold lies halfway between the two neighbours; 0 lets nobody exit, 1.01 everybody.
 *
 * `samples` must not be the test set. With n samples an accuracy is known to about sqrt(a (1 - a) / n).
 */
export function chooseThreshold(samples: readonly ExitSample[], tolerance: number): ThresholdChoice {
  const sorted = [...samples].sort((a, b) => a.entropy - b.entropy);
  const n = sorted.length;
  const hits: number[] = [sorted.reduce((sum, s) => sum + Number(s.mainRight), 0)];
  for (const s of sorted) hits.push(hits.at(-1)! + Number(s.branchRight) - Number(s.mainRight));
  // Samples of equal entropy exit together or not at all.
  const possible = (k: number) => k === 0 || k === n || sorted[k - 1]!.entropy < sorted[k]!.entropy;
  let best = 0;
  for (let k = 0; k <= n; k++) if (possible(k)) best = Math.max(best, hits[k]!);
  let k = n;
  while (!possible(k) || hits[k]! < best - tolerance * n) k--;
  const threshold = k === 0 ? 0 : k === n ? 1.01 : (sorted[k - 1]!.entropy + sorted[k]!.entropy) / 2;
  return { threshold, accuracy: hits[k]! / n, exitRate: k / n, bestAccuracy: best / n };
}
