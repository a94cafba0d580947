/** Lower and upper end of what a share may truly be, at 95 %. */
export type Interval = readonly [number, number];

/**
 * Wilson's score interval at 95 % for `share` (0..1) seen in `samples` independent samples: it stays within 0..1 and
 * is not empty at its ends, where accuracies are. Without samples nothing is known: [0, 1].
 *
 * Source: E. B. Wilson, JASA 22 (1927).
 */
export function wilson(share: number, samples: number): Interval {
  if (samples === 0) return [0, 1];
  const z2 = 1.959964 ** 2;
  const middle = (share + z2 / (2 * samples)) / (1 + z2 / samples);
  const half =
    Math.sqrt((z2 * share * (1 - share)) / samples + (z2 / (2 * samples)) ** 2) / (1 + z2 / samples);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
