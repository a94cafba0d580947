import { elementCount, permutation, random } from '@tierwise/core';
import type { Dataset } from './data/index.ts';
import type { Mask, Parameter, Statistic } from './layers/training.ts';
import type { TrainingSettings } from './settings.ts';

/** Streams of randomness by purpose; the first name after the seed. */
const purpose = { holdout: 1, order: 2, augment: 3, dropout: 4, parameters: 5, branch: 6 } as const;

/**
 * Values that parameters and running statistics start with, each parameter's from a stream of its own. A branch that
 * is trained alone has other streams than the network that was trained before it.
 */
export function startingValues(
  layers: { readonly parameters: readonly Parameter[]; readonly statistics: readonly Statistic[] },
  seed: number,
  of: 'parameters' | 'branch' = 'parameters',
): Map<string, Float32Array<ArrayBuffer>> {
  const values = new Map(
    layers.parameters.map((parameter, i) => [parameter.name, parameter.init(random(seed, purpose[of], i))]),
  );
  for (const { name, dims, start } of layers.statistics)
    values.set(name, new Float32Array(elementCount(dims)).fill(start));
  return values;
}

/** Which training samples are learnt from and which are held back for the threshold; indices into the data set. */
export function holdBack(
  samples: number,
  holdout: number,
  seed: number,
): { train: Uint32Array; held: Uint32Array } {
  const order = permutation(samples, random(seed, purpose.holdout));
  return { held: order.subarray(0, holdout), train: order.subarray(holdout) };
}

/** The order of the training samples in `epoch`, counted over all phases: a new permutation each time. */
export function epochOrder(train: Uint32Array, seed: number, epoch: number): Uint32Array {
  return permutation(train.length, random(seed, purpose.order, epoch)).map((i) => train[i]!);
}

/**
 * Copies the samples `indices` into `into` (uint8 [n, c, h, w]), each moved by up to `shift` pixels each way (black
 * comes in from outside) and mirrored half the time when `flip`. What is drawn depends on seed and
 * step alone; steps are counted over all phases.
 */
export function augment(
  data: Dataset,
  indices: Uint32Array,
  settings: TrainingSettings,
  step: number,
  into: Uint8Array,
): void {
  const { channels, height, width, images } = data;
  const stream = random(settings.seed, purpose.augment, step);
  const plane = height * width;
  into.fill(0);
  for (const [n, index] of indices.entries()) {
    const dx = stream.below(2 * settings.shift + 1) - settings.shift;
    const dy = stream.below(2 * settings.shift + 1) - settings.shift;
    const mirrored = settings.flip && stream.uniform() < 0.5;
    for (let c = 0; c < channels; c++) {
      const from = (index * channels + c) * plane;
      const to = (n * channels + c) * plane;
      for (let y = Math.max(0, dy); y < Math.min(height, height + dy); y++)
        for (let x = Math.max(0, dx); x < Math.min(width, width + dx); x++) {
          const source = mirrored ? width - 1 - (x - dx) : x - dx;
          into[to + y * width + x] = images[from + (y - dy) * width + source]!;
        }
    }
  }
}

/** One row a sample, 1 at its class. */
export function oneHot(data: Dataset, indices: Uint32Array, into: Float32Array): void {
  const classes = into.length / indices.length;
  into.fill(0);
  for (const [n, index] of indices.entries()) into[n * classes + data.labels[index]!] = 1;
}

/** Fills a dropout mask: 0 with probability `rate`, else 1 / (1 - rate). */
export function drawMask(mask: Mask, number: number, seed: number, step: number, into: Float32Array): void {
  const stream = random(seed, purpose.dropout, step, number);
  const kept = 1 / (1 - mask.rate);
  for (let i = 0; i < into.length; i++) into[i] = stream.uniform() < mask.rate ? 0 : kept;
}
