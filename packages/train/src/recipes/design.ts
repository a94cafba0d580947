import { TierwiseError } from '@tierwise/core';

/** One or two binary convolutions of a branch and what surrounds them. */
export interface BranchBlock {
  readonly filters: number;
  readonly kernel: number;
  /** Of the first convolution; the second has 1. */
  readonly stride: 1 | 2;
  readonly pad: number;
  readonly convs: 1 | 2;
  /** Whether a real-valued shortcut goes around the block. */
  readonly shortcut: boolean;
  /** Whether a max pool of 2 ends it. */
  readonly pool: boolean;
  /**
   * Whether each channel is convolved by itself, in 8 bits, before a binary 1x1 convolution mixes them. The recipe of the
   * paper knows no such thing; there, and where it is absent, a convolution is one of all channels.
   */
  readonly depthwise?: boolean;
}

/**
 * The layers of a branch between the stem and its scores, as data: it is part of a training's settings. What a block
 * becomes is up to the recipe. With dense layers the last map is flattened, without them averaged.
 */
export interface BranchDesign {
  readonly blocks: readonly BranchBlock[];
  /** Units of the binary dense layers. */
  readonly dense: readonly number[];
}

/** A block of one 3x3 convolution that keeps the size of the map. */
export const plainBlock = { kernel: 3, stride: 1, pad: 1, convs: 1, shortcut: false, pool: false } as const;

/**
 * `design` with depthwise blocks where its convolutions are larger than 1x1: a third to two thirds of the bytes for the same filters.
 * For the same bytes more filters do not make up for it. On stems of a MobileNetV2 of a quarter of the width, 4,000 CIFAR-10
 * pictures, 4 epochs with real weights, one run each: blocks of 16 to 256 filters got 37.5 % of the last epoch's pictures right
 * (84 kB), depthwise ones of 40 to 640 filters 30.9 % (71 kB); the mirror of MobileNetV2 35.1 % (442 kB) and 17.3 % (268 kB).
 */
export function depthwiseDesign({ blocks, ...design }: BranchDesign): BranchDesign {
  return {
    ...design,
    blocks: blocks.map((block) => (block.kernel > 1 ? { ...block, depthwise: true } : block)),
  };
}

/** Filters never exceed this times those of the first block. */
const widest = 8;

/**
 * A branch that is free of the main network: `depth` blocks of one 3x3 binary convolution with a shortcut, in stages;
 * each stage after the first halves the map and doubles the filters, from `width` on, until a side is below 8. With
 * `stride` 2 the first stage halves the map as well: convolutions on the whole map of a large or deep stem cost most and
 * hold the fewest weights. `stem` is [n, c, h, w].
 * @throws TierwiseError USAGE unless depth and width are whole numbers from 1 on
 */
export function freeDesign(
  stem: readonly number[],
  options: {
    readonly depth: number;
    readonly width: number;
    readonly stride?: 1 | 2;
    readonly dense?: readonly number[];
  },
): BranchDesign {
  const { depth, width, stride = 1, dense = [] } = options;
  for (const [name, value] of [
    ['depth', depth],
    ['width', width],
    ...dense.map((units) => ['dense layer', units] as const),
  ] as const)
    if (!Number.isSafeInteger(value) || value < 1)
      throw new TierwiseError('USAGE', `a branch's ${name} is a whole number from 1 on, not ${value}`);
  const side = Math.min(stem[2]!, stem[3]!) / stride;
  const halvings = Math.max(0, Math.floor(Math.log2(side / 4)));
  const stages = Math.min(depth, halvings + 1);
  const stageOf = (block: number) => Math.floor((block * stages) / depth);
  const blocks = Array.from({ length: depth }, (_, i) => ({
    ...plainBlock,
    filters: width * Math.min(widest, 2 ** stageOf(i)),
    stride: i === 0 ? stride : stageOf(i) > stageOf(i - 1) ? (2 as const) : (1 as const),
    shortcut: true,
  }));
  return { blocks, dense };
}
