import type { Value } from '@tierwise/graph';

/**
 * A tensor on its way through a network that is being written as a graph.
 *
 * A positive multiplier per channel may still be pending: the scale of a binary convolution, or of a stem or a depthwise
 * convolution whose weights are whole numbers. Max pooling commutes with it and batch norm absorbs it, so the sums stay exact
 * integers up to there. In training it is `factor`, a tensor [1, c, 1, 1] or [1, c]; in inference its numbers are
 * known: `scale`, one for each channel, with a bias to add after it, `shift`, where the stem has one.
 */
export interface Feature {
  readonly value: Value;
  /** [n, c, h, w] or [n, c]; n is 0 where the batch size is left open. */
  readonly dims: readonly number[];
  readonly factor?: Value;
  readonly scale?: Float64Array;
  readonly shift?: Float32Array;
}

export interface ConvOptions {
  readonly filters: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly pad?: number;
  /** Channels are convolved in this many groups, each apart; as many as there are is depthwise. Default 1. */
  readonly groups?: number;
  /** Whether a number is added to each filter; networks with batch norms of their own have none. */
  readonly bias?: Bias;
}

/**
 * Numbers that are added to what filters or units give. norm: they are trained as a batch norm, which is folded into weights
 * and biases once they are trained: a network without batch norms, sooner.
 */
export type Bias = true | 'norm';

/** What a depthwise convolution slides: one filter for each channel. */
export type DepthwiseOptions = Pick<ConvOptions, 'kernel' | 'stride' | 'pad'>;

/** Weights of a filter in 8 bits are whole numbers from minus this to it, times a step. */
export const mostInt8 = 127;
/** No step is smaller, so that a filter of zeros has one. */
export const leastStep = 1e-30;

/**
 * What the signs of latent weights W are taken of, for each filter.
 * scaled: of W; the sums are scaled by alpha = mean |W| (XNOR-Net).
 * balanced: of W minus its mean, divided by its deviation, so that as many are +1 as -1 and none is beyond reach of the
 * gradient (IR-Net, CVPR 2020); without a scale, because a batch norm follows.
 */
export type BinaryWeights = 'scaled' | 'balanced';

/**
 * The layers that networks are written in. A network is one function over this interface; training and
 * inference are two implementations of it, so that both always describe the same network.
 */
export interface Layers {
  /** First convolution, on pixels 0..255. */
  pixelConv(pixels: Feature, name: string, options: ConvOptions): Feature;
  conv(x: Feature, name: string, options: ConvOptions): Feature;
  /** With a bias; default true. */
  dense(x: Feature, name: string, units: number, bias?: Bias): Feature;
  /** gamma is kept >= 0.01, so that batch norm never turns an order around (max pool and sign commute with it). */
  batchNorm(x: Feature, name: string): Feature;
  relu(x: Feature): Feature;
  /** min(max(x, 0), 6). */
  relu6(x: Feature): Feature;
  /** Square window, stride equal to its size. */
  maxPool(x: Feature, size: number): Feature;
  /** Mean over height and width: [n, c]. */
  globalAveragePool(x: Feature): Feature;
  add(a: Feature, b: Feature): Feature;
  flatten(x: Feature): Feature;
  dropout(x: Feature, name: string, rate: number): Feature;
  /** +1 where x >= 0, else -1. */
  sign(x: Feature): Feature;
  /** Adds a learned number to each channel, which starts at `start`. Before a sign it is the threshold's negative. */
  shift(x: Feature, name: string, start: number): Feature;
  /** Convolution of +-1 activations with the signs of latent weights; padding is -1. */
  binaryConv(x: Feature, name: string, options: ConvOptions, weights: BinaryWeights): Feature;
  binaryDense(x: Feature, name: string, units: number, weights: BinaryWeights): Feature;
  /**
   * Convolution of each channel of +-1 by itself, with weights in 8 bits: whole numbers times a step = max |W| / 127 for
   * each channel, which stays pending. Padding is 0. Of one bit it would not do: nine +-1 products have ten sums.
   */
  depthwise(x: Feature, name: string, options: DepthwiseOptions): Feature;
  /** Gives a tensor of the graph a name by which it can be cut or asked for. */
  mark(x: Feature, name: string): Feature;
}

/** Size of one side after a window has passed over it. */
export function windowed(size: number, kernel: number, stride: number, pad: number): number {
  return Math.floor((size + 2 * pad - kernel) / stride) + 1;
}

/** Shape of a convolution's weights. */
export function convDims(x: Feature, o: ConvOptions): [number, number, number, number] {
  return [o.filters, x.dims[1]! / (o.groups ?? 1), o.kernel, o.kernel];
}

/** The convolution that is depthwise on `x`. */
export function depthwiseConv(x: Feature, options: DepthwiseOptions): ConvOptions {
  const channels = x.dims[1]!;
  return { ...options, filters: channels, groups: channels };
}

/** Attributes of a convolution's node. */
export function convAttributes(o: ConvOptions) {
  const [stride, pad] = [o.stride ?? 1, o.pad ?? 0];
  return {
    kernel_shape: [o.kernel, o.kernel],
    strides: [stride, stride],
    pads: [pad, pad, pad, pad],
    ...(o.groups === undefined ? {} : { group: o.groups }),
  };
}
