import { fromFloat16, type Tensor, tensor, toFloat16 } from '@tierwise/core';
import { bitBytes, packBits } from '../bits.ts';
import { type Fail, inferOp } from '../infer.ts';
import {
  inputsOf,
  type Op,
  type Program,
  type ProgramOutput,
  type ValueInfo,
  type Window,
} from '../program.ts';
import { realThresholds, type Step, sumThresholds } from './chain.ts';

/** Weights of a dense layer or convolution in ONNX order, the input's axes last. */
export interface Weights {
  readonly dims: readonly number[];
  readonly values: Float64Array;
}

/**
 * Writes a program operation by operation. Every method appends and gives the number of the new value; `fail`
 * makes the error when an operation cannot take its input. Tensors are named by the value they help to make.
 */
export class Emitter {
  readonly #input: Program['input'];
  readonly #ops: Op[] = [];
  readonly #values: ValueInfo[];
  readonly #tensors = new Map<string, Tensor>();
  /** Sums of value i lie in [-terms, terms]; no more is needed than this, not the number of products. */
  readonly #terms = new Map<number, number>();

  constructor(input: Program['input']) {
    this.#input = input;
    this.#values = [{ kind: 'real', shape: input.shape }];
  }

  info(value: number): ValueInfo {
    return this.#values[value]!;
  }

  get #next(): number {
    return this.#values.length;
  }

  #push(op: Op, fail: Fail): number {
    const inputs = inputsOf(op).map((number) => this.info(number));
    this.#values.push(inferOp(op, inputs, fail).info);
    this.#ops.push(op);
    return op.output;
  }

  #keep(name: string, value: Tensor): string {
    const key = `${this.#next}.${name}`;
    this.#tensors.set(key, value);
    return key;
  }

  #floats(name: string, dims: readonly number[], values: ArrayLike<number>): string {
    return this.#keep(name, tensor('float32', dims, Float32Array.from(values)));
  }

  maxPool(input: number, window: Window, fail: Fail): number {
    const value = this.#push({ kind: 'maxPool', input, output: this.#next, window }, fail);
    const terms = this.#terms.get(input);
    if (terms !== undefined) this.#terms.set(value, terms);
    return value;
  }

  add(input: number, other: number, fail: Fail): number {
    return this.#push({ kind: 'add', input, other, output: this.#next }, fail);
  }

  meanPool(input: number, fail: Fail): number {
    return this.#push({ kind: 'meanPool', input, output: this.#next }, fail);
  }

  /** Weights that are all whole numbers of 16 bits are kept as such. */
  convReal(input: number, window: Window, { dims, values }: Weights, fail: Fail): number {
    const whole = Int16Array.from(values);
    const exact = values.every((value, i) => value === whole[i]);
    const weights = exact
      ? this.#keep('weights', tensor('int16', dims, whole))
      : this.#floats('weights', dims, values);
    const channels = dims[0]!;
    return this.#push({ kind: 'convReal', input, output: this.#next, window, weights, channels }, fail);
  }

  /** `values` are +1 and -1, [k, c, kernelH, kernelW]. */
  convBinary(input: number, window: Window, { dims, values }: Weights, fail: Fail): number {
    const [channels, c] = dims as readonly [number, number];
    const area = window.kernelH * window.kernelW;
    const channelsLast = new Float64Array(values.length);
    for (let k = 0, to = 0; k < channels; k++)
      for (let place = 0; place < area; place++)
        for (let channel = 0; channel < c; channel++)
          channelsLast[to++] = values[(k * c + channel) * area + place]!;
    const weights = this.#bits(channelsLast);
    return this.#sums(
      { kind: 'convBinary', input, output: this.#next, window, weights, channels },
      c * area,
      fail,
    );
  }

  /** `values` are whole numbers -127..127, [c, 1, kernelH, kernelW]. */
  depthwise(input: number, window: Window, { values }: Weights, fail: Fail): number {
    const { kernelH, kernelW } = window;
    const area = kernelH * kernelW;
    const dims = [values.length / area, kernelH, kernelW];
    const sizes = Array.from({ length: dims[0]! }, (_, c) =>
      values.subarray(c * area, (c + 1) * area).reduce((sum, weight) => sum + Math.abs(weight), 0),
    );
    const weights = this.#keep('weights', tensor('int8', dims, Int8Array.from(values)));
    return this.#sums(
      { kind: 'depthwise', input, output: this.#next, window, weights },
      Math.max(...sizes),
      fail,
    );
  }

  /** `values` are +1 and -1, [n, features]. */
  denseBinary(input: number, { dims, values }: Weights, fail: Fail): number {
    const [channels, features] = dims as readonly [number, number];
    const weights = this.#bits(values);
    return this.#sums({ kind: 'denseBinary', input, output: this.#next, weights, channels }, features, fail);
  }

  #bits(values: Float64Array): string {
    return this.#keep('weights', tensor('uint8', [bitBytes(values.length)], packBits(values)));
  }

  #sums(op: Op, terms: number, fail: Fail): number {
    this.#terms.set(op.output, terms);
    return this.#push(op, fail);
  }

  denseReal(input: number, { dims, values }: Weights, bias: ArrayLike<number>, fail: Fail): number {
    const channels = dims[0]!;
    const rows = eightBitRows(values, channels);
    const weights = rows
      ? {
          weights: this.#keep('weights', tensor('int8', dims, rows.values)),
          step: this.#keep('step', tensor('float16', [channels], toFloat16(rows.steps))),
        }
      : { weights: this.#floats('weights', dims, values) };
    const biasName = this.#floats('bias', [bias.length], bias);
    return this.#push(
      { kind: 'denseReal', input, output: this.#next, ...weights, bias: biasName, channels },
      fail,
    );
  }

  /**
   * Real numbers from a chain of steps over reals or sums: as few `affine` as hold it. Without steps a real value
   * is given as it is.
   */
  affine(input: number, steps: readonly Step[], fail: Fail): number {
    const { shape } = this.info(input);
    let value = input;
    const todo = [...steps];
    while (todo.length > 0 || this.info(value).kind !== 'real') {
      const take = <K extends Step['kind']>(wanted: K) =>
        todo[0]?.kind === wanted ? (todo.shift() as Extract<Step, { kind: K }>) : undefined;
      const scale = this.#floats(
        'scale',
        [shape.c],
        take('mul')?.values ?? new Float32Array(shape.c).fill(1),
      );
      const bias = this.#floats('bias', [shape.c], take('add')?.values ?? new Float32Array(shape.c));
      const relu = take('relu') !== undefined;
      value = this.#push({ kind: 'affine', input: value, output: this.#next, scale, bias, relu }, fail);
    }
    return value;
  }

  /** Bits that say where the chain of `steps` over `input` is 0 or more. */
  binarize(input: number, steps: readonly Step[], fail: Fail): number {
    const { shape } = this.info(input);
    const terms = this.#terms.get(input);
    const { values, flip } =
      terms === undefined ? realThresholds(steps, shape.c) : sumThresholds(steps, shape.c, terms);
    const threshold =
      terms === undefined
        ? this.#floats('threshold', [shape.c], values)
        : this.#keep('threshold', wholeNumbers(values));
    const op: Op = { kind: 'binarize', input, output: this.#next, threshold };
    if (!flip) return this.#push(op, fail);
    return this.#push(
      { ...op, flip: this.#keep('flip', tensor('uint8', [shape.c], Uint8Array.from(flip))) },
      fail,
    );
  }

  /**
   * The program so far. With `halfPrecisionEnds` numbers that no threshold depends on are float16: what comes
   * after the last `binarize`, and convolution weights that are not whole numbers.
   */
  finish(
    outputs: readonly ProgramOutput[],
    halfPrecisionEnds: boolean,
  ): { program: Program; tensors: Map<string, Tensor> } {
    const tensors = new Map(this.#tensors);
    const lastBits = this.#ops.findLastIndex((op) => op.kind === 'binarize');
    for (const [index, op] of this.#ops.entries()) {
      const atEnd = lastBits >= 0 && index > lastBits;
      const names =
        op.kind === 'convReal'
          ? [op.weights]
          : op.kind === 'denseReal' && atEnd
            ? [op.weights, op.bias]
            : op.kind === 'affine' && atEnd
              ? [op.scale, op.bias]
              : [];
      for (const name of halfPrecisionEnds ? names : []) tensors.set(name, halved(tensors.get(name)!));
    }
    return { program: { input: this.#input, ops: this.#ops, outputs }, tensors };
  }
}

/**
 * Rows of whole numbers -127..127 and a float16 step for each, when the weights are exactly their products: an
 * exporter has rounded them so. Undefined when they are not.
 */
function eightBitRows(
  weights: Float64Array,
  rows: number,
): { values: Int8Array<ArrayBuffer>; steps: Float32Array<ArrayBuffer> } | undefined {
  const length = weights.length / rows;
  const steps = Float32Array.from({ length: rows }, (_, row) => {
    const largest = weights
      .subarray(row * length, (row + 1) * length)
      .reduce((most, w) => Math.max(most, Math.abs(w)), 0);
    return largest === 0 ? 1 : largest / 127;
  });
  const half = fromFloat16(toFloat16(steps));
  const values = Int8Array.from(weights, (w, i) => Math.round(w / steps[Math.floor(i / length)]!));
  const exact =
    steps.every((step, row) => half[row] === step) &&
    weights.every((w, i) => w === values[i]! * steps[Math.floor(i / length)]!);
  return exact ? { values, steps } : undefined;
}

/** Thresholds of sums as int16, or as int32 when one does not fit. */
function wholeNumbers(values: Float64Array): Tensor {
  const short = values.every((value) => Math.abs(value) <= 32767);
  return short
    ? tensor('int16', [values.length], Int16Array.from(values))
    : tensor('int32', [values.length], Int32Array.from(values));
}

/**
 * A float32 tensor as float16, unless that would change some element by more than 2^-11 of the largest one, as
 * happens when numbers are beyond float16's range or all below it. Other types stay.
 */
function halved(full: Tensor): Tensor {
  if (!(full.data instanceof Float32Array)) return full;
  const { data } = full;
  const half = toFloat16(data);
  const allowed = data.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0) * 2 ** -11;
  const close = fromFloat16(half).every((x, i) => Math.abs(x - data[i]!) <= allowed);
  return close ? tensor('float16', full.dims, half) : full;
}
