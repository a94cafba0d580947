import { TierwiseError } from '@tierwise/core';
import { attrInt, attrInts, attrString, nodeLabel, type TensorType } from '@tierwise/graph';
import type { NodeProto } from 'onnx-buf';
import type { Fail } from '../infer.ts';
import type { Window } from '../program.ts';
import type { Step } from './chain.ts';
import type { Constant, ConstantOf } from './constants.ts';
import type { Emitter } from './emit.ts';

/**
 * What a tensor of the graph is while the program is written: value `base`, and the `steps` that still have to be
 * done to it. They are done when something needs the numbers, or become a threshold when only their sign is
 * needed. `compare`: a truth value that says where they are 0 or more. `pad`: with a border of -1 around it.
 */
export interface State {
  readonly base: number;
  readonly steps: readonly Step[];
  readonly compare?: true;
  readonly pad?: { readonly h: number; readonly w: number };
}

/** What the handlers of nodes work with. */
export interface Scope {
  readonly emitter: Emitter;
  readonly constant: ConstantOf;
  readonly types: ReadonlyMap<string, TensorType>;
  readonly states: ReadonlyMap<string, State>;
}

/** One node on its way into the program: its inputs and attributes, checked as they are asked for. */
export class NodeScope {
  readonly node: NodeProto;
  readonly emitter: Emitter;
  readonly #scope: Scope;

  constructor(node: NodeProto, scope: Scope) {
    this.node = node;
    this.emitter = scope.emitter;
    this.#scope = scope;
  }

  /** The error of a node that a program has no counterpart for. */
  readonly fail: Fail = (what) =>
    new TierwiseError('MODEL_UNSUPPORTED', `${nodeLabel(this.node)}: ${what}`, {
      node: this.node.name,
      op: this.node.opType,
    });

  /** A plain tensor, without border and not a truth value. */
  state(index: number): State {
    const state = this.any(index);
    if (state.compare) throw this.fail('input is a comparison; only Where(comparison, 1, -1) can take that');
    if (state.pad) throw this.fail('input is padded; only a Conv with weights of +1 and -1 can take that');
    return state;
  }

  any(index: number): State {
    const state = this.#scope.states.get(this.node.input[index] ?? '');
    if (!state) throw this.fail(`input ${index} must come from the branch and is a constant or missing`);
    return state;
  }

  /** Whether input `index` is a tensor that the branch computes. */
  isComputed(index: number): boolean {
    return this.#scope.states.has(this.node.input[index] ?? '');
  }

  /** The constant at input `index`, or undefined when the node leaves it out. */
  optional(index: number): Constant | undefined {
    return this.node.input[index] ? this.constant(index) : undefined;
  }

  constant(index: number): Constant {
    const found = this.#scope.constant(this.node.input[index] ?? '');
    if (!found) throw this.fail(`input ${index} must be a constant`);
    return found;
  }

  /** The two inputs of an elementwise node, of which one is a constant: number `side`. */
  operands(): { state: State; values: Float32Array; side: 0 | 1 } {
    const sides = [0, 1].filter((index) => this.#scope.constant(this.node.input[index] ?? ''));
    if (sides.length !== 1) throw this.fail('one of the two inputs must be a constant');
    const side = sides[0] as 0 | 1;
    const state = this.state(1 - side);
    return { state, values: this.perChannel(this.constant(side), state), side };
  }

  inputDims(): readonly number[] {
    return this.#scope.types.get(this.node.input[0]!)!.dims;
  }

  outputDims(): readonly number[] {
    return this.#scope.types.get(this.node.output[0]!)!.dims;
  }

  /** Whether the state is +1 and -1. */
  isBits(state: State): boolean {
    return this.emitter.info(state.base).kind === 'bits';
  }

  /** The numbers of a tensor as a real value. */
  real(state: State): number {
    if (this.emitter.info(state.base).kind === 'bits') {
      throw this.fail('works on +1 and -1; expected weights of +1 and -1, or MaxPool, Pad or Reshape');
    }
    return this.emitter.affine(state.base, state.steps, this.fail);
  }

  /** `constant` as one float32 a channel of `state`; it must broadcast along the channels and nothing else. */
  perChannel({ dims, values }: Constant, state: State): Float32Array {
    const { c } = this.emitter.info(state.base).shape;
    const outputDims = this.outputDims();
    const aligned = [...new Array<number>(Math.max(0, outputDims.length - dims.length)).fill(1), ...dims];
    const fits =
      aligned.length === outputDims.length &&
      outputDims[1] === c &&
      aligned.every((dim, axis) => dim === 1 || (axis === 1 && dim === c));
    if (!fits && values.length !== 1) {
      throw this.fail(`a constant of shape [${dims}] is not one number a channel of [${outputDims}]`);
    }
    return Float32Array.from({ length: c }, (_, channel) => values[values.length === 1 ? 0 : channel]!);
  }

  /** `state` with one more step. */
  after(state: State, step: Step): State {
    if (this.isBits(state)) {
      throw this.fail('works on +1 and -1; expected Conv, Gemm or MatMul with weights of +1 and -1 first');
    }
    if (step.kind !== 'relu' && !step.values.every(Number.isFinite)) {
      throw this.fail('a constant holds a number that is not finite');
    }
    return { base: state.base, steps: [...state.steps, step] };
  }

  /** Groups of a Conv; 1 of any other node. */
  get groups(): number {
    return attrInt(this.node, 'group', 1);
  }

  /** The window of a Conv or MaxPool, with `kernel` from the weights or the attribute. */
  window(kernel: readonly number[] | undefined): Window {
    const { window, more } = this.#slide(kernel);
    if (more.some((size) => size > 0)) {
      throw this.fail(`expected equal padding at opposite sides, not [${this.#pads(kernel!)}]`);
    }
    return window;
  }

  /**
   * The window of a Conv with real weights, whose padding may differ at opposite sides: the weights then get zeros
   * around them, and the padding is the larger of the two.
   */
  paddedWindow(weights: Constant): { window: Window; weights: Constant } {
    const { window, more } = this.#slide(weights.dims.slice(2));
    const [top, left] = more;
    const [filters, c, kernelH, kernelW] = weights.dims as [number, number, number, number];
    if (window.kernelH === kernelH && window.kernelW === kernelW) return { window, weights };
    const area = window.kernelH * window.kernelW;
    const values = new Float64Array(filters * c * area);
    for (const [i, value] of weights.values.entries()) {
      const [x, y] = [i % kernelW, Math.floor(i / kernelW) % kernelH];
      const plane = Math.floor(i / (kernelW * kernelH));
      values[plane * area + (y + top) * window.kernelW + x + left] = value;
    }
    return { window, weights: { dims: [filters, c, window.kernelH, window.kernelW], values } };
  }

  /** The window with equal padding at opposite sides, and the zeros that its kernel needs for that: [top, left, bottom, right]. */
  #slide(kernel: readonly number[] | undefined) {
    const expect = (good: boolean, what: string) => {
      if (!good) throw this.fail(`expected ${what}`);
    };
    expect(kernel?.length === 2, 'a two-dimensional kernel');
    expect(
      attrInts(this.node, 'dilations', []).every((dilation) => dilation === 1),
      'no dilation',
    );
    const [top, left, bottom, right] = this.#pads(kernel!) as [number, number, number, number];
    const [padH, padW] = [Math.max(top, bottom), Math.max(left, right)];
    const more = [padH - top, padW - left, padH - bottom, padW - right] as const;
    const [strideH, strideW] = attrInts(this.node, 'strides', [1, 1]) as [number, number];
    const [kernelH, kernelW] = [kernel![0]! + more[0] + more[2], kernel![1]! + more[1] + more[3]];
    return { window: { kernelH, kernelW, strideH, strideW, padH, padW }, more };
  }

  /** [top, left, bottom, right], with `auto_pad` worked out. */
  #pads(kernel: readonly number[]): readonly number[] {
    const auto = attrString(this.node, 'auto_pad', 'NOTSET');
    if (!auto.startsWith('SAME')) return attrInts(this.node, 'pads', [0, 0, 0, 0]);
    const strides = attrInts(this.node, 'strides', [1, 1]);
    const both = this.inputDims()
      .slice(2)
      .map((size, i) => Math.max(0, (Math.ceil(size / strides[i]!) - 1) * strides[i]! + kernel[i]! - size));
    const before = both.map((pad) => (auto === 'SAME_UPPER' ? Math.floor(pad / 2) : Math.ceil(pad / 2)));
    return [...before, ...both.map((pad, i) => pad - before[i]!)];
  }
}
