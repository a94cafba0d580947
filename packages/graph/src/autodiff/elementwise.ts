import { TierwiseError } from '@tierwise/core';
import { type Rule, type RuleContext, unbroadcast } from './context.ts';

/** Gives `gradient`, computed at the output's shape, to input `i`, summed where that input was broadcast. */
function giveInput(c: RuleContext, i: number, gradient: () => string): void {
  const x = c.node.input[i]!;
  if (c.wanted(x)) c.give(x, unbroadcast(c.b, gradient(), c.dims(c.node.output[0]!), c.dims(x)));
}

/**
 * Sign by comparison, Where(x >= 0, 1, -1), has a derivative of zero almost everywhere. The straight-through
 * estimator passes the gradient where |x| <= 1: LcDNN eq. 5 (misprinted there), Courbariaux et al. 2016.
 * Any other Where is a selection: the gradient goes to the side that was taken.
 */
const where: Rule = (c) => {
  const [condition, a, b] = c.node.input as [string, string, string];
  const compare = c.producer(condition);
  const isSign =
    compare?.opType === 'GreaterOrEqual' &&
    c.constant(compare.input[1]!)?.join() === '0' &&
    c.constant(a)?.join() === '1' &&
    c.constant(b)?.join() === '-1';
  if (isSign) {
    const x = compare.input[0]!;
    if (!c.wanted(x)) return;
    const inside = c.b.op('LessOrEqual', [c.b.abs(x), c.b.scalar(1)]);
    c.give(x, c.b.op('Where', [inside, c.dy, c.b.scalar(0)]));
    return;
  }
  giveInput(c, 1, () => c.b.op('Where', [condition, c.dy, c.b.scalar(0)]));
  giveInput(c, 2, () => c.b.op('Where', [condition, c.b.scalar(0), c.dy]));
};

/** Derivatives of one-input operators: d x from d y, with x and y at hand. */
const unary = (derive: (c: RuleContext, x: string, y: string) => string): Rule => {
  return (c) => giveInput(c, 0, () => derive(c, c.node.input[0]!, c.node.output[0]!));
};

const sum: Rule = (c) => {
  for (let i = 0; i < c.node.input.length; i++) giveInput(c, i, () => c.dy);
};

/** Stops at comparisons and constants: nothing flows through them, and nothing should. */
const noGradient: Rule = () => {};

export const elementwise: Readonly<Record<string, Rule>> = {
  Add: sum,
  Sum: sum,
  Sub: (c) => {
    giveInput(c, 0, () => c.dy);
    giveInput(c, 1, () => c.b.neg(c.dy));
  },
  Mul: (c) => {
    const [x, y] = c.node.input as [string, string];
    giveInput(c, 0, () => c.b.mul(c.dy, y));
    giveInput(c, 1, () => c.b.mul(c.dy, x));
  },
  Div: (c) => {
    const divisor = c.node.input[1]!;
    giveInput(c, 0, () => c.b.div(c.dy, divisor));
    giveInput(c, 1, () => c.b.neg(c.b.div(c.b.mul(c.dy, c.node.output[0]!), divisor)));
  },
  Neg: unary((c) => c.b.neg(c.dy)),
  Identity: unary((c) => c.dy),
  Abs: unary((c, x) => c.b.mul(c.dy, c.b.op('Sign', [x]))),
  // y is 0 exactly where x <= 0, so Sign(y) is the mask and x need not be kept.
  Relu: unary((c, _, y) => c.b.mul(c.dy, c.b.op('Sign', [y]))),
  Sqrt: unary((c, _, y) => c.b.div(c.b.mul(c.dy, c.b.scalar(0.5)), y)),
  Exp: unary((c, _, y) => c.b.mul(c.dy, y)),
  Log: unary((c, x) => c.b.div(c.dy, x)),
  Where: where,
  GreaterOrEqual: noGradient,
  Greater: noGradient,
  LessOrEqual: noGradient,
  Less: noGradient,
  Equal: noGradient,
  Sign: (c) => {
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `${c.node.name}: ONNX Sign has no useful gradient; write Where(x >= 0, 1, -1)`,
      { node: c.node.name },
    );
  },
};
