import { attrInt } from '../attributes.ts';
import { dtypeOf } from '../tensors.ts';
import { asElement, elementwise } from './broadcast.ts';
import type { Rule } from './scope.ts';

/** The output is like the first input; elements are not followed. */
const likeFirst: Rule = (scope) => {
  const { dtype, dims } = scope.input(0);
  return [{ dtype, dims }];
};

const compare = (fold: (a: number, b: number) => boolean): Rule =>
  elementwise((a, b) => Number(fold(a!, b!)), { dtype: 'bool' });

/** Operators whose output has the shape and the dtype of their first input. */
const shapePreserving = [
  'Relu LeakyRelu PRelu Elu Selu Celu ThresholdedRelu Gelu Mish Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign',
  'Exp Log Erf Sin Cos Softmax LogSoftmax Hardmax Clip LRN LpNormalization InstanceNormalization GroupNormalization',
  'ScatterElements ScatterND Scatter CumSum Trilu',
].flatMap((names) => names.split(' '));

export const elementwiseRules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(shapePreserving.map((op) => [op, likeFirst])),
  Add: elementwise((a, b) => a! + b!),
  Sub: elementwise((a, b) => a! - b!),
  Mul: elementwise((a, b) => a! * b!),
  Div: elementwise((a, b) => a! / b!),
  Mod: elementwise(),
  Pow: elementwise((a, b) => a! ** b!),
  Max: elementwise(Math.max),
  Min: elementwise(Math.min),
  Sum: elementwise((...all) => all.reduce((sum, x) => sum + x, 0)),
  Mean: elementwise(),
  Sqrt: elementwise((a) => Math.sqrt(a!)),
  Neg: elementwise((a) => -a!),
  Abs: elementwise((a) => Math.abs(a!)),
  Sign: elementwise((a) => Math.sign(a!)),
  Floor: elementwise((a) => Math.floor(a!)),
  Ceil: elementwise((a) => Math.ceil(a!)),
  Round: elementwise(),
  Reciprocal: elementwise((a) => 1 / a!),
  Greater: compare((a, b) => a > b),
  GreaterOrEqual: compare((a, b) => a >= b),
  Less: compare((a, b) => a < b),
  LessOrEqual: compare((a, b) => a <= b),
  Equal: compare((a, b) => a === b),
  And: compare((a, b) => a !== 0 && b !== 0),
  Or: compare((a, b) => a !== 0 || b !== 0),
  Xor: compare((a, b) => (a !== 0) !== (b !== 0)),
  Not: elementwise((a) => (a === 0 ? 1 : 0), { dtype: 'bool' }),
  IsNaN: elementwise(undefined, { dtype: 'bool' }),
  Where: elementwise((condition, a, b) => (condition !== 0 ? a! : b!), { from: 1 }),
  Identity: (scope) => [scope.input(0)],
  /** To the type of the zero point, uint8 where there is none. */
  QuantizeLinear: (scope) => [{ dtype: scope.optional(2)?.dtype ?? 'uint8', dims: scope.input(0).dims }],
  DequantizeLinear: (scope) => [{ dtype: scope.input(1).dtype, dims: scope.input(0).dims }],
  Cast(scope) {
    const dtype = dtypeOf(
      attrInt(scope.node, 'to') ?? scope.fail('it says not what to cast to'),
      'its output',
    );
    const { dims, values } = scope.input(0);
    return [{ dtype, dims, ...(values && { values: values.map((value) => asElement(dtype, value)) }) }];
  },
  /** The mask has the dtype of the data before opset 10, bool from then on. */
  Dropout(scope) {
    const { dtype, dims } = scope.input(0);
    return [
      { dtype, dims },
      { dtype: scope.opset < 10 ? dtype : 'bool', dims },
    ];
  },
};
