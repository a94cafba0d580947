import { fromFloat16, TierwiseError, tensor, toFloat16 } from '@tierwise/core';
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
import { batchNormEpsilon } from './training.ts';
import { WrittenLayers } from './written.ts';

/** Trained values by name: parameters and running statistics of `TrainingLayers`. */
export type Weights = ReadonlyMap<string, Float32Array>;

/**
 * Writes layers for inference, weights inside. Three things differ from training, none of them in meaning:
 *
 * 1. Batch norm is y = x * scale + bias, one Mul and one Add, with everything known before folded in.
 * 2. Stem weights become whole numbers w = round(W / step), step = max |W| / limit per filter, where limit is
 *    chosen so that 255 * taps * limit < 2^24. Sums over pixels 0..255 are then whole numbers that float32 holds
 *    exactly, in any order of adding: every engine computes the same bits, and so does the sign after it. With 25
 *    taps limit is 2,631, as fine as float16.
 * 3. Binary weights are stored as int8 +-1 and their scale moves behind the pool; those of depthwise layers are the
 *    whole numbers that they are rounded to in training, stored likewise.
 *
 * What follows sign number `smallAfter` is the branch's end: its batch norms, scales and biases are rounded to float16
 * and its dense weights to 8 bits with a float16 step for each row, which the branch's file then stores without loss.
 */
export class InferenceLayers extends WrittenLayers implements Layers {
  readonly #weights: Weights;
  readonly #smallAfter: number;
  #signs = 0;

  constructor(builder: GraphBuilder, weights: Weights, options: { readonly smallAfter?: number } = {}) {
    super(builder);
    this.#weights = weights;
    this.#smallAfter = options.smallAfter ?? Number.POSITIVE_INFINITY;
  }

  /** Signs written so far. */
  get signs(): number {
    return this.#signs;
  }

  get #isSmall(): boolean {
    return this.#signs >= this.#smallAfter;
  }

  #get(name: string): Float32Array {
    const values = this.#weights.get(name);
    if (!values)
      throw new TierwiseError('CHECKPOINT_INVALID', `the checkpoint has no ${name}`, { tensor: name });
    return values;
  }

  #store(name: string, dims: readonly number[], values: ArrayLike<number>): Value {
    const data = Float32Array.from(values);
    const kept = this.#isSmall ? fromFloat16(toFloat16(data)) : data;
    return this.b.initializer(name, tensor('float32', dims, kept));
  }

  pixelConv(pixels: Feature, name: string, options: ConvOptions): Feature {
    const dims = convDims(pixels, options);
    const { weights: W, biases } = this.#trained(name, options.bias);
    const taps = W.length / options.filters;
    const limit = Math.floor((2 ** 24 - 1) / (255 * taps));
    const whole = new Float32Array(W.length);
    const scale = new Float64Array(options.filters);
    for (let k = 0; k < options.filters; k++) {
      const filter = W.subarray(k * taps, (k + 1) * taps);
      const step = filter.reduce((max, w) => Math.max(max, Math.abs(w)), 1e-30) / limit;
      for (let i = 0; i < taps; i++) whole[k * taps + i] = Math.round(filter[i]! / step);
      scale[k] = step / 255;
    }
    const weight = this.b.initializer(`${name}.weight`, tensor('float32', dims, whole));
    const shift = biases ? { shift: biases } : {};
    return { ...this.convolve(pixels, [weight], options), scale, ...shift };
  }

  conv(x: Feature, name: string, options: ConvOptions): Feature {
    const dims = convDims(x, options);
    const { weights, biases } = this.#trained(name, options.bias);
    const stored = [this.#store(`${name}.weight`, dims, weights)];
    if (biases) stored.push(this.#store(`${name}.bias`, [options.filters], biases));
    return this.convolve(x, stored, options);
  }

  /** Weights of a layer and what is added, with the batch norm that was trained with them folded in. */
  #trained(name: string, bias: Bias | undefined): { weights: Float32Array; biases?: Float32Array } {
    const weights = this.#get(`${name}.weight`);
    if (!bias) return { weights };
    if (bias === true) return { weights, biases: this.#get(`${name}.bias`) };
    const { scale, shift } = this.#norm(`${name}.norm`);
    const taps = weights.length / scale.length;
    return {
      weights: weights.map((w, i) => w * scale[Math.floor(i / taps)]!),
      biases: Float32Array.from(shift),
    };
  }

  /** A batch norm as y = x * scale + shift. */
  #norm(name: string): { scale: Float64Array; shift: Float64Array } {
    const [gamma, beta, mean, variance] = ['gamma', 'beta', 'mean', 'variance'].map((part) =>
      this.#get(`${name}.${part}`),
    ) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const scale = Float64Array.from(gamma, (g, c) => g / Math.sqrt(variance[c]! + batchNormEpsilon));
    return { scale, shift: scale.map((s, c) => beta[c]! - mean[c]! * s) };
  }

  dense(x: Feature, name: string, units: number, bias: Bias = true): Feature {
    const { weights, biases } = this.#trained(name, bias);
    const rounded = this.#isSmall ? eightBitRows(weights, units) : weights;
    const weight = this.b.initializer(
      `${name}.weight`,
      tensor('float32', [units, x.dims[1]!], Float32Array.from(rounded)),
    );
    const c = biases ? { c: this.#store(`${name}.bias`, [units], biases) } : {};
    return { value: this.b.gemm(x.value, weight, { transB: 1, ...c }), dims: [x.dims[0]!, units] };
  }

  batchNorm(x: Feature, name: string): Feature {
    const norm = this.#norm(name);
    const scale = norm.scale.map((s, c) => s * (x.scale?.[c] ?? 1));
    const bias = norm.shift.map((shift, c) => shift + (x.shift?.[c] ?? 0) * norm.scale[c]!);
    return { value: this.#affine(x, name, scale, bias), dims: x.dims };
  }

  /** x * scale + bias for each channel: a Mul and an Add. */
  #affine(x: Feature, name: string, scale: ArrayLike<number>, bias?: ArrayLike<number>): Value {
    const dims = [1, x.dims[1]!, ...x.dims.slice(2).map(() => 1)];
    const y = this.b.mul(x.value, this.#store(`${name}.scale`, dims, scale));
    return bias === undefined ? y : this.b.add(y, this.#store(`${name}.bias`, dims, bias));
  }

  /** Applies what is pending. */
  protected override settled(x: Feature): Value {
    return x.scale === undefined ? x.value : this.#affine(x, x.value, x.scale, x.shift);
  }

  globalAveragePool(x: Feature): Feature {
    const value = this.b.op('Flatten', [this.b.op('GlobalAveragePool', [this.settled(x)])], { axis: 1 });
    return { value, dims: x.dims.slice(0, 2) };
  }

  flatten(x: Feature): Feature {
    const [n, ...rest] = x.dims as [number, ...number[]];
    return {
      value: this.b.op('Flatten', [x.value], { axis: 1 }),
      dims: [n, rest.reduce((a, d) => a * d, 1)],
    };
  }

  dropout(x: Feature): Feature {
    return x;
  }

  override sign(x: Feature): Feature {
    this.#signs++;
    return super.sign(x);
  }

  shift(x: Feature, name: string): Feature {
    const dims = [1, x.dims[1]!, ...x.dims.slice(2).map(() => 1)];
    return {
      value: this.b.add(this.settled(x), this.#store(name, dims, this.#get(name))),
      dims: x.dims,
    };
  }

  /** int8 signs of the latent weights as float; for scaled ones alpha = mean |W| per filter, too. */
  protected override binaryWeights(
    name: string,
    dims: readonly number[],
    kind: BinaryWeights,
  ): { signs: Value; scale?: Float64Array } {
    const latent = this.#get(`${name}.latent`);
    const filters = dims[0]!;
    const taps = latent.length / filters;
    const signs = new Int8Array(latent.length);
    const scale = new Float64Array(filters);
    // Plain loops: there are millions of weights, and Int8Array.from with a function is many times slower.
    for (let k = 0; k < filters; k++) {
      const [start, end] = [k * taps, (k + 1) * taps];
      let [sum, size] = [0, 0];
      for (let i = start; i < end; i++) {
        sum += latent[i]!;
        size += Math.abs(latent[i]!);
      }
      const middle = kind === 'balanced' ? sum / taps : 0;
      for (let i = start; i < end; i++) signs[i] = latent[i]! >= middle ? 1 : -1;
      scale[k] = size / taps;
    }
    const stored = this.b.initializer(`${name}.signs`, tensor('int8', dims, signs));
    return {
      signs: this.b.op('Cast', [stored], { to: 1 }),
      ...(kind === 'scaled' ? { scale } : {}),
    };
  }

  depthwise(x: Feature, name: string, options: DepthwiseOptions): Feature {
    const conv = depthwiseConv(x, options);
    const dims = convDims(x, conv);
    const { whole, steps } = eightBitFilters(this.#get(`${name}.weight`), dims[0]);
    const weight = this.b.initializer(`${name}.whole`, tensor('int8', dims, whole));
    const weights = [this.b.op('Cast', [weight], { to: 1 })];
    return { ...this.convolve(x, weights, conv), scale: steps };
  }

  mark(x: Feature, name: string): Feature {
    return { ...x, value: this.b.op('Identity', [x.value], {}, name) };
  }
}

/** Whole numbers -127..127 and a step for each filter, as training rounds: in float32, halves to the even neighbour. */
function eightBitFilters(weights: Float32Array, filters: number) {
  const taps = weights.length / filters;
  const whole = new Int8Array(weights.length);
  const steps = new Float64Array(filters);
  for (let k = 0; k < filters; k++) {
    const filter = weights.subarray(k * taps, (k + 1) * taps);
    const largest = filter.reduce((most, w) => Math.max(most, Math.abs(w)), 0);
    const step = Math.max(Math.fround(largest / mostInt8), Math.fround(leastStep));
    steps[k] = step;
    for (let i = 0; i < taps; i++) {
      const times = Math.fround(filter[i]! / step);
      const up = Math.round(times);
      whole[k * taps + i] = up - times === 0.5 && up % 2 !== 0 ? up - 1 : up;
    }
  }
  return { whole, steps };
}

/** The nearest multiples -127..127 of a float16 step for each row; exact in float32 (7 times 11 bits). */
function eightBitRows(weights: Float32Array, rows: number): Float32Array {
  const length = weights.length / rows;
  const largest = Float32Array.from({ length: rows }, (_, row) =>
    weights.subarray(row * length, (row + 1) * length).reduce((most, w) => Math.max(most, Math.abs(w)), 0.01),
  );
  const steps = fromFloat16(toFloat16(largest.map((most) => most / 127)));
  return weights.map((w, i) => {
    const step = steps[Math.floor(i / length)]!;
    return Math.min(127, Math.max(-127, Math.round(w / step))) * step;
  });
}
