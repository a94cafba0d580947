import { bytesPerElement, type DType, elementCount } from '@tierwise/core';
import type { NodeProto } from 'onnx-buf';
import { attrInt, attrInts, attrString } from './attributes.ts';
import type { TensorType } from './shapes.ts';

/** Bytes that a tensor takes. */
export function tensorBytes({ dtype, dims }: { dtype: DType; dims: readonly number[] }): number {
  return elementCount(dims) * bytesPerElement[dtype];
}

interface Sizes {
  readonly node: NodeProto;
  readonly inputs: readonly (TensorType | undefined)[];
  readonly output: TensorType;
  /** Elements of the output and of the first input. */
  readonly made: number;
  readonly taken: number;
}

type Count = (sizes: Sizes) => number;

const biased = ({ inputs, made }: Sizes): number => (inputs[2] === undefined ? 0 : made);
/** Multiplications and additions per output of a matrix product over `length` pairs. */
const perWindow: Count = ({ node, made }) => made * elementCount(attrInts(node, 'kernel_shape', []));
const perInput: Count = ({ taken }) => taken;
const perOutput =
  (operations: number): Count =>
  (sizes) =>
    sizes.made * operations;

/**
 * Operations by operator. A function such as exp or tanh counts as one; what is composed of several elementary
 * steps counts them; what only moves data, or computes shapes, is not listed and counts nothing.
 */
const counts: Readonly<Record<string, Count>> = {
  /** w: [m, c / group, kernel...]: each output element sums one window over its group's channels. */
  Conv: (sizes) => 2 * sizes.made * elementCount(sizes.inputs[1]!.dims.slice(1)) + biased(sizes),
  /** w: [c, m / group, kernel...]: each input element is spread over one window of its group's outputs. */
  ConvTranspose: (sizes) => 2 * sizes.taken * elementCount(sizes.inputs[1]!.dims.slice(1)) + biased(sizes),
  MatMul: ({ inputs, made }) => 2 * made * (inputs[0]!.dims.at(-1) ?? 1),
  Gemm(sizes) {
    const inner = sizes.inputs[0]!.dims[attrInt(sizes.node, 'transA', 0) !== 0 ? 0 : 1]!;
    return 2 * sizes.made * inner + biased(sizes);
  },
  MaxPool: perWindow,
  AveragePool: perWindow,
  LpPool: perWindow,
  /** One multiplication and one addition with the statistics folded. */
  BatchNormalization: perOutput(2),
  /** Square, sum over `size` channels, scale, shift, power, divide. */
  LRN: (sizes) => sizes.made * (attrInt(sizes.node, 'size', 1) + 5),
  /** Maximum, difference, exp, sum, quotient. */
  Softmax: perOutput(5),
  LogSoftmax: perOutput(5),
  HardSigmoid: perOutput(4),
  HardSwish: perOutput(5),
  Clip: perOutput(2),
  Sum: (sizes) => sizes.made * Math.max(0, sizes.inputs.length - 1),
  Resize(sizes) {
    const mode = attrString(sizes.node, 'mode', 'nearest');
    const taps = mode === 'cubic' ? 16 : mode === 'linear' ? 4 : 1;
    return sizes.made * (taps === 1 ? 0 : 2 * taps - 1);
  },
};

const once = (
  'Add Sub Mul Div Pow Max Min Mod Sqrt Exp Log Neg Abs Sign Reciprocal Floor Ceil Round Relu LeakyRelu PRelu Elu ' +
  'Selu Sigmoid Tanh Softplus Softsign Erf Sin Cos Where Greater GreaterOrEqual Less LessOrEqual Equal'
).split(' ');
const onceOverInput =
  'GlobalAveragePool GlobalMaxPool ReduceSum ReduceMean ReduceMax ReduceMin ReduceSumSquare ArgMax ArgMin'.split(
    ' ',
  );

const countOf: ReadonlyMap<string, Count> = new Map([
  ...once.map((op) => [op, perOutput(1)] as const),
  ...onceOverInput.map((op) => [op, perInput] as const),
  ...Object.entries(counts),
]);

/**
 * Floating-point operations of one node, a multiplication and an addition counted apart; `types` holds its
 * tensors, as `inferShapes` gives them. Arithmetic on whole numbers counts nothing.
 */
export function nodeFlops(node: NodeProto, types: ReadonlyMap<string, TensorType>): number {
  const inputs = node.input.map((name) => types.get(name));
  const output = types.get(node.output[0] ?? '');
  const count = countOf.get(node.opType);
  if (count === undefined || output === undefined || !inputs[0]?.dtype.startsWith('float')) return 0;
  return count({
    node,
    inputs,
    output,
    made: elementCount(output.dims),
    taken: elementCount(inputs[0].dims),
  });
}
