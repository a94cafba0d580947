import { argmax, energyOf, softmax } from '@tierwise/core';

/** Scores of a branch, float32 [samples, classes], and the class that each sample has. */
export interface Scored {
  readonly scores: Float32Array;
  readonly labels: Uint16Array;
  readonly classes: number;
}

/** Samples whose highest probability lies in one tenth of 0..1. */
export interface ReliabilityBin {
  readonly samples: number;
  /** Means over them; undefined where there are none. */
  readonly confidence: number | undefined;
  readonly accuracy: number | undefined;
}

/** How far the confidence of a branch can be believed, bin by bin and in one number. */
export interface Calibration {
  /** Ten, from 0 to 1. */
  readonly bins: readonly ReliabilityBin[];
  /** Expected calibration error: mean over samples of |accuracy - confidence| of their bin (Guo et al. 2017, eq. 3). */
  readonly ece: number;
}

const binCount = 10;

/** Whether the probabilities of a branch mean what they say, with its scores divided by `temperature`. */
export function calibrationOf({ scores, labels, classes }: Scored, temperature = 1): Calibration {
  const sums = Array.from({ length: binCount }, () => ({ samples: 0, confidence: 0, right: 0 }));
  for (const [i, label] of labels.entries()) {
    const row = scores.slice(i * classes, (i + 1) * classes).map((score) => score / temperature);
    const top = argmax(row);
    const confidence = softmax(row)[top]!;
    const bin = sums[Math.min(binCount - 1, Math.floor(confidence * binCount))]!;
    bin.samples++;
    bin.confidence += confidence;
    bin.right += Number(top === label);
  }
  let apart = 0;
  const bins = sums.map(({ samples, confidence, right }): ReliabilityBin => {
    apart += Math.abs(confidence - right);
    const mean = (sum: number) => (samples === 0 ? undefined : sum / samples);
    return { samples, confidence: mean(confidence), accuracy: mean(right) };
  });
  return { bins, ece: labels.length === 0 ? 0 : apart / labels.length };
}

/**
 * The temperature, 0.1 to 10, with the least cross-entropy of the softened scores (Guo et al. 2017, section 4.2), by
 * golden section. It never changes which class is first.
 */
export function fitTemperature(scored: Scored): number {
  const loss = (logT: number) => crossEntropy(scored, Math.exp(logT));
  const golden = (Math.sqrt(5) - 1) / 2;
  let [lo, hi] = [Math.log(0.1), Math.log(10)];
  let [a, b] = [hi - golden * (hi - lo), lo + golden * (hi - lo)];
  let [atA, atB] = [loss(a), loss(b)];
  while (hi - lo > 1e-3) {
    if (atA < atB) {
      [hi, b, atB] = [b, a, atA];
      a = hi - golden * (hi - lo);
      atA = loss(a);
    } else {
      [lo, a, atA] = [a, b, atB];
      b = lo + golden * (hi - lo);
      atB = loss(b);
    }
  }
  return Math.exp((lo + hi) / 2);
}

function crossEntropy({ scores, labels, classes }: Scored, temperature: number): number {
  let sum = 0;
  for (const [i, label] of labels.entries()) {
    const row = scores.slice(i * classes, (i + 1) * classes).map((score) => score / temperature);
    sum += energyOf(row) - row[label]!;
  }
  return sum / labels.length;
}
