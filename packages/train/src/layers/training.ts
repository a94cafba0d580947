import type { Random, Tensor } from '@tierwise/core';
import type { GraphBuilder, Value } from '@tierwise/graph';
import {
  type Bias,
  type BinaryWeights,
  type ConvOptions,
  convDims,
  type DepthwiseOptions,
  depthwiseConv,
  type Feature,
  type Layers,
  leastStep,
  mostInt8,
} from './layers.ts';
import { WrittenLayers } from './written.ts';

/**
 * How a parameter is treated by the optimiser.
 * weight: real, decays. plain: biases and batch-norm shifts, no decay. gamma: kept >= 0.01.
 * latent: real weights behind a sign, kept in [-1, 1].
 */
export type ParameterKind = 'weight' | 'plain' | 'gamma' | 'latent';

export interface Parameter {
  readonly name: string;
  readonly kind: ParameterKind;
  readonly dims: readonly number[];
  /** Starting values, drawn from the parameter's own stream. */
  init(random: Random): Float32Array<ArrayBuffer>;
}

/** A running average kept beside the parameters: value' = 0.9 value + 0.1 batch. */
export interface Statistic {
  readonly name: string;
  readonly dims: readonly number[];
  readonly start: number;
  /** Tensor of the graph that holds the batch's value. */
  readonly batch: Value;
}

/** A dropout mask that the trainer draws for each step: 0, or 1 / (1 - rate). */
export interface Mask {
  readonly name: string;
  readonly dims: readonly number[];
  readonly rate: number;
}

export const batchNormEpsilon = 1e-5;

const constant = (value: number) => (length: number) => new Float32Array(length).fill(value);

/** Writes layers for training: parameters are graph inputs, batch norm uses the batch, dropout a drawn mask. */
export class TrainingLayers extends WrittenLayers implements Layers {
  readonly parameters: Parameter[] = [];
  readonly statistics: Statistic[] = [];
  readonly masks: Mask[] = [];
  readonly #realWeights: boolean;
  readonly #dropout: number | undefined;

  /**
   * `realWeights`: binary layers use their latent weights as they are, and depthwise ones theirs, while activations are
   * signs. `dropout`: its rate in place of each that the network asks for; 0 for none.
   */
  constructor(
    builder: GraphBuilder,
    options: { readonly realWeights?: boolean; readonly dropout?: number } = {},
  ) {
    super(builder);
    this.#realWeights = options.realWeights ?? false;
    this.#dropout = options.dropout;
  }

  #parameter(
    name: string,
    kind: ParameterKind,
    dims: readonly number[],
    init: (length: number, random: Random) => Float32Array<ArrayBuffer>,
  ): Value {
    const length = dims.reduce((a, d) => a * d, 1);
    this.parameters.push({ name, kind, dims, init: (random) => init(length, random) });
    return this.b.input(name, 'float32', dims);
  }

  /** He et al. 2015: normal with variance 2 / fan-in, which keeps the scale of ReLU networks. */
  #weight(name: string, dims: readonly number[], kind: 'weight' | 'latent'): Value {
    const fanIn = dims.slice(1).reduce((a, d) => a * d, 1);
    const most = kind === 'latent' ? 1 : Number.POSITIVE_INFINITY;
    const deviation = Math.sqrt(2 / fanIn);
    return this.#parameter(name, kind, dims, (length, random) => {
      const values = new Float32Array(length);
      for (let i = 0; i < length; i++)
        values[i] = Math.min(most, Math.max(-most, random.normal() * deviation));
      return values;
    });
  }

  /** A parameter that is trained already: it starts as `value`. Matrices and filters decay. */
  trained(name: string, { dims, data }: Tensor<'float32'>): Value {
    return this.#parameter(name, dims.length > 1 ? 'weight' : 'plain', dims, () => Float32Array.from(data));
  }

  pixelConv(pixels: Feature, name: string, options: ConvOptions): Feature {
    return this.conv({ ...pixels, value: this.b.mul(pixels.value, this.b.scalar(1 / 255)) }, name, options);
  }

  conv(x: Feature, name: string, options: ConvOptions): Feature {
    const { filters, bias } = options;
    const weights = [this.#weight(`${name}.weight`, convDims(x, options), 'weight')];
    if (bias === true) weights.push(this.#parameter(`${name}.bias`, 'plain', [filters], constant(0)));
    const y = this.convolve(x, weights, options);
    return bias === 'norm' ? this.batchNorm(y, `${name}.norm`) : y;
  }

  dense(x: Feature, name: string, units: number, bias: Bias = true): Feature {
    const weight = this.#weight(`${name}.weight`, [units, x.dims[1]!], 'weight');
    const c = bias === true ? { c: this.#parameter(`${name}.bias`, 'plain', [units], constant(0)) } : {};
    const y = { value: this.b.gemm(x.value, weight, { transB: 1, ...c }), dims: [x.dims[0]!, units] };
    return bias === 'norm' ? this.batchNorm(y, `${name}.norm`) : y;
  }

  batchNorm(x: Feature, name: string): Feature {
    const b = this.b;
    const channels = x.dims[1]!;
    const value = this.settled(x);
    const gamma = this.#parameter(`${name}.gamma`, 'gamma', [channels], constant(1));
    const beta = this.#parameter(`${name}.beta`, 'plain', [channels], constant(0));
    // onnxruntime overwrites the running inputs in training mode, so they are two tensors that nobody else reads.
    const running = [b.sub(gamma, gamma), b.sub(beta, beta)];
    const [y, mean, variance] = b.opN('BatchNormalization', [value, gamma, beta, ...running], 3, {
      training_mode: 1,
      momentum: { float: 0 },
      epsilon: { float: batchNormEpsilon },
    });
    this.statistics.push({ name: `${name}.mean`, dims: [channels], start: 0, batch: mean! });
    this.statistics.push({ name: `${name}.variance`, dims: [channels], start: 1, batch: variance! });
    return { value: y!, dims: x.dims };
  }

  protected override settled(x: Feature): Value {
    return x.factor === undefined ? x.value : this.b.mul(x.value, x.factor);
  }

  globalAveragePool(x: Feature): Feature {
    return { value: this.b.mean(this.settled(x), [2, 3]), dims: x.dims.slice(0, 2) };
  }

  flatten(x: Feature): Feature {
    const [n, ...rest] = x.dims as [number, ...number[]];
    const dims = [n, rest.reduce((a, d) => a * d, 1)];
    return { value: this.b.reshape(x.value, dims), dims };
  }

  dropout(x: Feature, name: string, rate: number): Feature {
    const share = this.#dropout ?? rate;
    if (share === 0) return x;
    this.masks.push({ name, dims: x.dims, rate: share });
    return { ...x, value: this.b.mul(x.value, this.b.input(name, 'float32', x.dims)) };
  }

  shift(x: Feature, name: string, start: number): Feature {
    const dims = [1, x.dims[1]!, ...x.dims.slice(2).map(() => 1)];
    const by = this.#parameter(name, 'plain', dims, constant(start));
    return { value: this.b.add(this.settled(x), by), dims: x.dims };
  }

  /** Signs of the latent weights, or real ones in their place; scaled ones with alpha, of shape [1, filters, 1, …]. */
  protected override binaryWeights(
    name: string,
    dims: readonly number[],
    kind: BinaryWeights,
  ): { signs: Value; factor?: Value } {
    const b = this.b;
    const latent = this.#weight(`${name}.latent`, dims, 'latent');
    const filter = dims.slice(1).map((_, i) => i + 1);
    const perFilter = [1, dims[0]!, ...dims.slice(2).map(() => 1)];
    if (kind === 'scaled') {
      const factor = b.reshape(b.mean(b.abs(latent), filter), perFilter);
      return { signs: this.#realWeights ? latent : b.sign(latent), factor };
    }
    const centred = b.sub(latent, b.mean(latent, filter, 1));
    const variance = b.mean(b.mul(centred, centred), filter, 1);
    // A deviation of 1/3 leaves nearly all within [-1, 1], where the straight-through gradient passes.
    const even = b.div(centred, b.sqrt(b.add(b.mul(variance, b.scalar(9)), b.scalar(1e-12))));
    return { signs: this.#realWeights ? even : b.sign(even) };
  }

  depthwise(x: Feature, name: string, options: DepthwiseOptions): Feature {
    const b = this.b;
    const conv = depthwiseConv(x, options);
    const dims = convDims(x, conv);
    const weight = this.#weight(`${name}.weight`, dims, 'weight');
    if (this.#realWeights) return this.convolve(x, [weight], conv);
    const { kernel } = options;
    const window = { kernel_shape: [kernel, kernel], strides: [kernel, kernel] };
    const largest = b.op('MaxPool', [b.abs(weight)], window);
    const step = b.op('Max', [b.div(largest, b.scalar(mostInt8)), b.scalar(leastStep)]);
    const whole = b.op('Round', [b.div(weight, step)]);
    return { ...this.convolve(x, [whole], conv), factor: b.reshape(step, [1, dims[0], 1, 1]) };
  }

  mark(x: Feature): Feature {
    return x;
  }
}
