/** Programs for tests: tensors are drawn, shapes and kinds follow from the operations. */
import { elementCount, type Random, type Tensor, tensor } from '@tierwise/core';
import { packBits } from '../src/bits.ts';
import { readProgram, writeProgram } from '../src/file.ts';
import { inferOp, sizeOf } from '../src/infer.ts';
import {
  inputsOf,
  type LoadedProgram,
  type Op,
  type Shape,
  type ValueInfo,
  type Window,
} from '../src/program.ts';

/** A window with the same numbers in both directions. */
export function square(kernel: number, stride: number, pad: number): Window {
  return { kernelH: kernel, kernelW: kernel, strideH: stride, strideW: stride, padH: pad, padW: pad };
}

export class ProgramBuilder {
  /** One binary weight, +1 or -1. */
  sign: () => number;
  readonly values: ValueInfo[];
  readonly #ops: Op[] = [];
  readonly #tensors = new Map<string, Tensor>();
  readonly #draw: Random;

  constructor(shape: Shape, draw: Random) {
    this.values = [{ kind: 'real', shape }];
    this.#draw = draw;
    this.sign = () => (draw.below(2) ? 1 : -1);
  }

  get ops(): readonly Op[] {
    return this.#ops;
  }

  #push(op: Op): number {
    const inputs = inputsOf(op).map((value) => this.values[value]!);
    this.values.push(inferOp(op, inputs, (what) => new Error(`${op.kind}: ${what}`)).info);
    this.#ops.push(op);
    return op.output;
  }

  #keep(value: Tensor): string {
    const name = `t${this.#tensors.size}`;
    this.#tensors.set(name, value);
    return name;
  }

  #floats(dims: readonly number[], one: () => number): string {
    return this.#keep(tensor('float32', dims, Float32Array.from({ length: elementCount(dims) }, one)));
  }

  #signs(count: number): string {
    const signs = Float32Array.from({ length: count }, this.sign);
    const stream = packBits(signs);
    return this.#keep(tensor('uint8', [stream.length], stream));
  }

  get #next(): number {
    return this.values.length;
  }

  convBinary(input: number, window: Window, channels: number): number {
    const weights = this.#signs(channels * window.kernelH * window.kernelW * this.values[input]!.shape.c);
    return this.#push({ kind: 'convBinary', input, output: this.#next, window, weights, channels });
  }

  /** Weights over all of int8, or all of them `weight`. */
  depthwise(input: number, window: Window, weight?: number): number {
    const dims = [this.values[input]!.shape.c, window.kernelH, window.kernelW];
    const values = Int8Array.from(
      { length: elementCount(dims) },
      () => weight ?? this.#draw.below(256) - 128,
    );
    const weights = this.#keep(tensor('int8', dims, values));
    return this.#push({ kind: 'depthwise', input, output: this.#next, window, weights });
  }

  denseBinary(input: number, channels: number): number {
    const weights = this.#signs(channels * sizeOf(this.values[input]!.shape));
    return this.#push({ kind: 'denseBinary', input, output: this.#next, weights, channels });
  }

  /** Whole weights from -most to most. */
  convReal(input: number, window: Window, channels: number, most: number): number {
    const dims = [channels, this.values[input]!.shape.c, window.kernelH, window.kernelW];
    const values = Int16Array.from(
      { length: elementCount(dims) },
      () => this.#draw.below(2 * most + 1) - most,
    );
    const weights = this.#keep(tensor('int16', dims, values));
    return this.#push({ kind: 'convReal', input, output: this.#next, window, weights, channels });
  }

  denseReal(input: number, channels: number): number {
    const weights = this.#floats([channels, sizeOf(this.values[input]!.shape)], () => this.#draw.normal());
    const bias = this.#floats([channels], () => this.#draw.normal());
    return this.#push({ kind: 'denseReal', input, output: this.#next, weights, bias, channels });
  }

  affine(input: number, relu: boolean): number {
    const { c } = this.values[input]!.shape;
    const scale = this.#floats([c], () => this.#draw.normal());
    const bias = this.#floats([c], () => this.#draw.normal());
    return this.#push({ kind: 'affine', input, output: this.#next, scale, bias, relu });
  }

  add(input: number, other: number): number {
    return this.#push({ kind: 'add', input, other, output: this.#next });
  }

  maxPool(input: number, window: Window): number {
    return this.#push({ kind: 'maxPool', input, output: this.#next, window });
  }

  meanPool(input: number): number {
    return this.#push({ kind: 'meanPool', input, output: this.#next });
  }

  /** Bits that are all -1, whatever the sample. */
  allMinus(input: number): number {
    const { c } = this.values[input]!.shape;
    const threshold = this.#floats([c], () => Infinity);
    return this.#push({ kind: 'binarize', input, output: this.#next, threshold });
  }

  /** Thresholds within and beyond [-most, most], whole for sums; every third is turned round when `flip`. */
  binarize(input: number, most: number, flip: boolean): number {
    const { kind, shape } = this.values[input]!;
    const { c } = shape;
    const draw = () => (this.#draw.uniform() * 2.4 - 1.2) * most;
    const threshold =
      kind === 'sums'
        ? this.#keep(tensor('int32', [c], Int32Array.from({ length: c }, draw)))
        : this.#floats([c], () =>
            this.#draw.below(12) ? draw() : this.#draw.below(2) ? Infinity : -Infinity,
          );
    const op: Op = { kind: 'binarize', input, output: this.#next, threshold };
    if (!flip) return this.#push(op);
    const flips = Uint8Array.from({ length: c }, () => Number(this.#draw.below(3) === 0));
    return this.#push({ ...op, flip: this.#keep(tensor('uint8', [c], flips)) });
  }

  /** The program with `outputs`, by value, written to a file and read again. */
  finish(outputs: readonly number[]): LoadedProgram {
    const { shape } = this.values[0]!;
    return readProgram(
      writeProgram(
        {
          input: { tensor: 'x', shape },
          ops: this.#ops,
          outputs: outputs.map((value) => {
            const { c, h, w } = this.values[value]!.shape;
            return { tensor: `v${value}`, value, dims: [1, c, h, w] };
          }),
        },
        this.#tensors,
      ),
    );
  }
}
