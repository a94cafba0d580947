import { attrFloat, attrInt, attrInts, attrString } from '@tierwise/graph';
import type { NodeProto } from 'onnx-buf';
import { showShape, sizeOf } from '../infer.ts';
import { clip, leakyRelu, pRelu } from './activations.ts';
import { direction } from './chain.ts';
import type { Constant } from './constants.ts';
import { NodeScope, type Scope, type State } from './node-scope.ts';

/** Writes `node` into the program and says what its first output is. Expects types to have been inferred. */
export function compileNode(node: NodeProto, scope: Scope): State {
  const here = new NodeScope(node, scope);
  const handler = handlers.get(node.domain === '' || node.domain === 'ai.onnx' ? node.opType : '');
  if (!handler) {
    throw here.fail(
      `is not an operation of a binary branch; expected one of ${[...handlers.keys()].sort().join(', ')}`,
    );
  }
  const state = handler(here);
  if (!state.pad) checkShape(here, state);
  return state;
}

/** Refuses what would give another shape here than in ONNX: auto_pad, ceil_mode, shapes that a program lacks. */
function checkShape(n: NodeScope, state: State): void {
  const { shape } = n.emitter.info(state.base);
  const dims = n.outputDims();
  const flat = dims.length === 2 && dims[1] === sizeOf(shape);
  const spatial = dims.length === 4 && dims[1] === shape.c && dims[2] === shape.h && dims[3] === shape.w;
  if (dims[0] !== 1 || !(flat || spatial)) {
    throw n.fail(
      `gives [${dims}]; expected [1, c, h, w] or [1, c*h*w] of ${showShape(shape)}, padding in pads`,
    );
  }
}

const multiply = (n: NodeScope): State => {
  const { state, values } = n.operands();
  return n.after(state, { kind: 'mul', values });
};

/** x / a is x * (1 / a), which can differ from a division in the last bit. */
const divide = (n: NodeScope): State => {
  const { state, values, side } = n.operands();
  if (side === 0) throw n.fail('expected a division by a constant');
  return n.after(state, { kind: 'mul', values: values.map((value) => 1 / value) });
};

/** Of a constant it is a step; of two tensors it is the running sum of a residual network. */
const add = (n: NodeScope): State => {
  if (n.node.input.every((_, index) => n.isComputed(index))) {
    const [a, b] = [n.real(n.state(0)), n.real(n.state(1))];
    return { base: n.emitter.add(a, b, n.fail), steps: [] };
  }
  const { state, values } = n.operands();
  return n.after(state, { kind: 'add', values });
};

/** x - a is x + (-a), and a - x is x * (-1) + a, both without any other rounding. */
const subtract = (n: NodeScope): State => {
  const { state, values, side } = n.operands();
  if (side === 1) return n.after(state, { kind: 'add', values: values.map((value) => -value) });
  const negative = n.after(state, { kind: 'mul', values: values.map(() => -1) });
  return n.after(negative, { kind: 'add', values });
};

/**
 * y = x * scale + bias with scale = gamma / sqrt(variance + epsilon) and bias = beta - mean * scale, both
 * calculated in float64 and rounded once. onnxruntime does the same in float32, so the two can differ in the
 * last bit; a graph that must agree to the bit says Mul and Add.
 */
const batchNormalization = (n: NodeScope): State => {
  if (attrInt(n.node, 'training_mode', 0) !== 0) throw n.fail('expected training_mode 0');
  const state = n.state(0);
  const epsilon = attrFloat(n.node, 'epsilon', 1e-5);
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((index) => n.constant(index).values);
  const scale = gamma!.map((g, i) => g / Math.sqrt(variance![i]! + epsilon));
  const bias = beta!.map((b, i) => b - mean![i]! * scale[i]!);
  if (scale.length !== n.emitter.info(state.base).shape.c) throw n.fail('expected one number a channel');
  const scaled = n.after(state, { kind: 'mul', values: Float32Array.from(scale) });
  return n.after(scaled, { kind: 'add', values: Float32Array.from(bias) });
};

/** The weights when all of them are +1 and -1, else an error. */
function plusMinusOnes(n: NodeScope, weights: Constant): Constant {
  if (!weights.values.every((value) => value === 1 || value === -1)) {
    throw n.fail('works on +1 and -1; expected weights of +1 and -1 (scale the sums with Mul instead)');
  }
  return weights;
}

/** One filter for each channel. Its weights are whole, so that sums are: a scale is for a Mul behind it. */
const depthwise = (n: NodeScope): State => {
  const state = n.state(0);
  const { window, weights } = n.paddedWindow(n.constant(1));
  const { c } = n.emitter.info(state.base).shape;
  const isWhole = (weight: number) => Number.isInteger(weight) && Math.abs(weight) <= 127;
  if (!n.isBits(state) || n.groups !== c || weights.dims[0] !== c || !weights.values.every(isWhole)) {
    throw n.fail(
      `is a convolution in groups; expected one group, or ${c} filters in ${c} groups on +1 and -1, of whole numbers -127..127`,
    );
  }
  return withBias(n, n.emitter.depthwise(state.base, window, weights, n.fail));
};

const convolution = (n: NodeScope): State => {
  if (n.groups !== 1) return depthwise(n);
  const state = n.any(0);
  if (!n.isBits(state)) {
    const { window, weights } = n.paddedWindow(n.constant(1));
    return withBias(n, n.emitter.convReal(n.real(n.state(0)), window, weights, n.fail));
  }
  const weights = n.constant(1);
  const window = n.window(weights.dims.slice(2));
  if (window.padH + window.padW > 0) throw n.fail('pads +1 and -1 with 0; expected a Pad with -1 before it');
  const padded = { ...window, padH: state.pad?.h ?? 0, padW: state.pad?.w ?? 0 };
  return withBias(n, n.emitter.convBinary(state.base, padded, plusMinusOnes(n, weights), n.fail));
};

/** Adds the constant at input 2 of a Conv or Gemm, when there is one, to each channel of `base`. */
function withBias(n: NodeScope, base: number): State {
  const state: State = { base, steps: [] };
  const bias = n.optional(2)?.values;
  if (!bias) return state;
  const dims = [1, bias.length, ...n.outputDims().slice(2).fill(1)];
  return n.after(state, { kind: 'add', values: n.perChannel({ dims, values: bias }, state) });
}

/**
 * The largest of rounded, non-falling functions is the function of the largest, so a pool moves before steps
 * that reverse no channel: then it works on sums, and the steps can still become a threshold.
 */
const maxPool = (n: NodeScope): State => {
  const state = n.state(0);
  const window = n.window(attrInts(n.node, 'kernel_shape'));
  const { c } = n.emitter.info(state.base).shape;
  const rising = Array.from({ length: c }, (_, channel) => channel).every(
    (channel) => direction(state.steps, channel) >= 0,
  );
  if (rising) return { base: n.emitter.maxPool(state.base, window, n.fail), steps: state.steps };
  return { base: n.emitter.maxPool(n.real(state), window, n.fail), steps: [] };
};

const globalAveragePool = (n: NodeScope): State => ({
  base: n.emitter.meanPool(n.real(n.state(0)), n.fail),
  steps: [],
});

/** `transposed`: the matrix is [outputs, features]. */
const dense = (n: NodeScope, transposed: boolean): State => {
  const state = n.state(0);
  const matrix = n.constant(1);
  const features = sizeOf(n.emitter.info(state.base).shape);
  if (
    n.inputDims().length !== 2 ||
    matrix.dims.length !== 2 ||
    matrix.dims[transposed ? 1 : 0] !== features
  ) {
    throw n.fail(`expected [1, ${features}] times a matrix, not [${n.inputDims()}] and [${matrix.dims}]`);
  }
  const outputs = matrix.dims[transposed ? 0 : 1]!;
  const values = transposed
    ? matrix.values
    : matrix.values.map((_, i) => matrix.values[(i % features) * outputs + Math.floor(i / features)]!);
  const weights = { dims: [outputs, features], values };
  if (n.isBits(state)) {
    return withBias(n, n.emitter.denseBinary(state.base, plusMinusOnes(n, weights), n.fail));
  }
  const bias = n.optional(2)?.values ?? Float64Array.of(0);
  if (bias.length !== 1 && bias.length !== outputs) throw n.fail(`expected a bias of ${outputs}`);
  const biases = values.slice(0, outputs).map((_, i) => bias[bias.length === 1 ? 0 : i]!);
  return { base: n.emitter.denseReal(n.real(state), weights, biases, n.fail), steps: [] };
};

const gemm = (n: NodeScope): State => {
  const plain = attrFloat(n.node, 'alpha', 1) === 1 && attrFloat(n.node, 'beta', 1) === 1;
  if (!plain || attrInt(n.node, 'transA', 0) !== 0) throw n.fail('expected alpha 1, beta 1 and transA 0');
  return dense(n, attrInt(n.node, 'transB', 0) === 1);
};

/** The same numbers in the same order; CHW is also the order of [1, c*h*w], so only the shape must be checked. */
const sameOrder = (n: NodeScope): State => n.state(0);

const dropout = (n: NodeScope): State => {
  if (n.optional(2)?.values.some((value) => value !== 0)) throw n.fail('expected training_mode false');
  return n.state(0);
};

const pad = (n: NodeScope): State => {
  const state = n.state(0);
  if (attrString(n.node, 'mode', 'constant') !== 'constant' || n.node.input[3]) {
    throw n.fail('expected mode "constant" and no axes');
  }
  const pads = [...n.constant(1).values];
  const [, , top, left, , , bottom, right] = pads;
  const outer = [0, 1, 4, 5].every((axis) => pads[axis] === 0);
  if (pads.length !== 8 || !outer || top !== bottom || left !== right || top! < 0 || left! < 0) {
    throw n.fail(`expected equal padding at opposite sides of height and width, not [${pads}]`);
  }
  if (!n.isBits(state) || n.optional(2)?.values[0] !== -1) {
    throw n.fail('expected a sign before it and -1 as padding; give padding with 0 to the Conv');
  }
  return { ...state, pad: { h: top!, w: left! } };
};

const isAll = (constant: Constant, wanted: number) =>
  constant.values.length === 1 && constant.values[0] === wanted;

const greaterOrEqual = (n: NodeScope): State => {
  const state = n.state(0);
  if (!isAll(n.constant(1), 0)) throw n.fail('expected a comparison with 0');
  if (n.isBits(state)) throw n.fail('takes the sign of a sign');
  return { ...state, compare: true };
};

const where = (n: NodeScope): State => {
  const condition = n.any(0);
  if (!condition.compare || !isAll(n.constant(1), 1) || !isAll(n.constant(2), -1)) {
    throw n.fail('expected Where(GreaterOrEqual(x, 0), 1, -1)');
  }
  return { base: n.emitter.binarize(condition.base, condition.steps, n.fail), steps: [] };
};

const handlers: ReadonlyMap<string, (n: NodeScope) => State> = new Map(
  Object.entries({
    Add: add,
    BatchNormalization: batchNormalization,
    Clip: clip,
    Conv: convolution,
    Div: divide,
    Dropout: dropout,
    Flatten: sameOrder,
    Gemm: gemm,
    GlobalAveragePool: globalAveragePool,
    GreaterOrEqual: greaterOrEqual,
    Identity: sameOrder,
    LeakyRelu: leakyRelu,
    MatMul: (n: NodeScope) => dense(n, false),
    MaxPool: maxPool,
    Mul: multiply,
    Pad: pad,
    PRelu: pRelu,
    Relu: (n: NodeScope) => n.after(n.state(0), { kind: 'relu' }),
    Reshape: sameOrder,
    Sub: subtract,
    Where: where,
  }),
);
