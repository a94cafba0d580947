import { elementCount, permutation, type Random, random, type Tensor, tensor } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import type { Mask } from '../layers/training.ts';
import type { Augmentation, TrainingSettings } from './settings.ts';

/** Streams of randomness by purpose; the first name after the seed. */
export const purpose = { holdout: 1, order: 2, augment: 3, dropout: 4, parameters: 5, branch: 6 } as const;

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
 * Copies the samples `indices` into `into` (uint8 [n, c, h, w]), each shifted, mirrored and cut as `augmentation` says.
 * `stream` gives all that is drawn.
 */
export function augment(
  data: Dataset,
  indices: Uint32Array,
  { shift, flip, cutout }: Augmentation,
  stream: Random,
  into: Uint8Array,
): void {
  const { channels, height, width, images } = data;
  const plane = height * width;
  into.fill(0);
  for (const [n, index] of indices.entries()) {
    const dx = stream.below(2 * shift + 1) - shift;
    const dy = stream.below(2 * shift + 1) - shift;
    const mirrored = flip && stream.uniform() < 0.5;
    for (let c = 0; c < channels; c++) {
      const from = (index * channels + c) * plane;
      const to = (n * channels + c) * plane;
      for (let y = Math.max(0, dy); y < Math.min(height, height + dy); y++)
        for (let x = Math.max(0, dx); x < Math.min(width, width + dx); x++) {
          const source = mirrored ? width - 1 - (x - dx) : x - dx;
          into[to + y * width + x] = images[from + (y - dy) * width + source]!;
        }
    }
    if (cutout === 0) continue;
    const left = stream.below(width) - (cutout >> 1);
    const top = stream.below(height) - (cutout >> 1);
    for (let c = 0; c < channels; c++)
      for (let y = Math.max(0, top); y < Math.min(height, top + cutout); y++) {
        const row = (n * channels + c) * plane + y * width;
        into.fill(0, row + Math.max(0, left), row + Math.max(0, Math.min(width, left + cutout)));
      }
  }
}

/** Samples that are measured together, and most numbers of their pictures: maps inside a network are larger. */
const mostMeasured = 200;
const mostNumbers = 2 ** 22;

/** How many samples of `size` numbers are measured together. */
export const samplesAtOnce = (size: number): number =>
  Math.max(1, Math.min(mostMeasured, Math.floor(mostNumbers / size)));

/** The samples `indices` of `data` as they are, uint8 [n, c, h, w]. */
export function unchanged(data: Dataset, indices: Uint32Array): Tensor<'uint8'> {
  const { pixels } = emptyBatch(data, indices.length, []);
  augment(data, indices, { shift: 0, flip: false, cutout: 0 }, random(0), pixels.data);
  return pixels;
}

/** One row a sample: `smoothing` spread over all classes, the rest at its own. */
export function targetRows(data: Dataset, indices: Uint32Array, smoothing: number, into: Float32Array): void {
  const classes = into.length / indices.length;
  into.fill(smoothing / classes);
  for (const [n, index] of indices.entries())
    into[n * classes + data.labels[index]!] = 1 - smoothing + smoothing / classes;
}

/**
 * Fills a dropout mask: 0 with probability `rate`, else 1 / (1 - rate). The rate is taken to the nearest 256th, so that
 * one draw serves four places: with one draw each, masks were a tenth of LeNet's step.
 */
export function drawMask(rate: number, stream: Random, into: Float32Array): void {
  const dropped = Math.round(rate * 256);
  // A table, because a branch that is as random as this one costs more than the draw.
  const values = new Float32Array(256).fill(256 / (256 - dropped), dropped);
  for (let i = 0; i < into.length; i += 4) {
    const bits = stream.below(2 ** 32) | 0;
    for (let byte = 0; byte < 4 && i + byte < into.length; byte++)
      into[i + byte] = values[(bits >>> (8 * byte)) & 255]!;
  }
}

/** What a step learns from; the same tensors are filled for each step. */
export interface Batch {
  readonly pixels: Tensor<'uint8'>;
  readonly targets: Tensor<'float32'>;
  readonly masks: readonly Tensor<'float32'>[];
}

export function emptyBatch(data: Dataset, batch: number, masks: readonly Mask[]): Batch {
  const { channels, height, width, classes } = data;
  const dims = [batch, channels, height, width];
  return {
    pixels: tensor('uint8', dims, new Uint8Array(elementCount(dims))),
    targets: tensor('float32', [batch, classes.length], new Float32Array(batch * classes.length)),
    masks: masks.map((mask) => tensor('float32', mask.dims, new Float32Array(elementCount(mask.dims)))),
  };
}

/** Fills `batch` with the samples `indices` for `step`, which is counted over all phases. */
export function fillBatch(
  batch: Batch,
  data: Dataset,
  indices: Uint32Array,
  masks: readonly Mask[],
  settings: Pick<TrainingSettings, 'seed' | 'augmentation' | 'smoothing'>,
  step: number,
): void {
  const { seed, augmentation, smoothing } = settings;
  augment(data, indices, augmentation, random(seed, purpose.augment, step), batch.pixels.data);
  targetRows(data, indices, smoothing, batch.targets.data);
  for (const [i, { data: into }] of batch.masks.entries())
    drawMask(masks[i]!.rate, random(seed, purpose.dropout, step, i), into);
}
