import { giveInput, type Rule, unary, unsupported } from './context.ts';

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
    if (c.bounded(x)) {
      c.give(x, c.dy);
      return;
    }
    const inside = c.b.op('LessOrEqual', [c.b.abs(x), c.b.scalar(1)]);
    c.give(x, c.b.op('Where', [inside, c.dy, c.b.scalar(0)]));
    return;
  }
  giveInput(c, 1, () => c.b.op('Where', [condition, c.dy, c.b.scalar(0)]));
  giveInput(c, 2, () => c.b.op('Where', [condition, c.b.scalar(0), c.dy]));
};

const sum: Rule = (c) => {
  for (let i = 0; i < c.node.input.length; i++) giveInput(c, i, () => c.dy);
};

/**
 * y = x^p with one constant exponent: dx = dy p x^(p-1). A computed exponent would need log x.
 * p = 2, the square, is a product.
 */
const power: Rule = (c) => {
  const exponent = c.constant(c.node.input[1]!);
  if (exponent?.length !== 1) throw unsupported(c, 'with one constant exponent');
  const p = exponent[0]!;
  giveInput(c, 0, () => {
    const x = c.node.input[0]!;
    const slope = c.b.mul(c.dy, c.b.scalar(p));
    if (p === 0 || p === 1) return slope;
    return c.b.mul(slope, p === 2 ? x : c.b.op('Pow', [x, c.b.scalar(p - 1)]));
  });
};

/** The larger (or smaller) of two: the gradient goes to the one that was taken, to the first when they are equal. */
const extreme = (takesFirst: 'GreaterOrEqual' | 'LessOrEqual'): Rule => {
  return (c) => {
    const { b, dy } = c;
    const [x, y] = c.node.input as [string, string?];
    if (c.node.input.length > 2) throw unsupported(c, 'with two inputs');
    if (y === undefined) {
      giveInput(c, 0, () => dy);
      return;
    }
    const first = b.op(takesFirst, [x, y]);
    giveInput(c, 0, () => b.op('Where', [first, dy, b.scalar(0)]));
    giveInput(c, 1, () => b.op('Where', [first, b.scalar(0), dy]));
  };
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
  // Straight through, too (Bengio et al. 2013): its own slope is 0, but the line that it follows has 1.
  Round: unary((c) => c.dy),
  Neg: unary((c) => c.b.neg(c.dy)),
  Identity: unary((c) => c.dy),
  Abs: unary((c, x) => c.b.mul(c.dy, c.b.op('Sign', [x]))),
  Sqrt: unary((c, _, y) => c.b.div(c.b.mul(c.dy, c.b.scalar(0.5)), y)),
  Exp: unary((c, _, y) => c.b.mul(c.dy, y)),
  Log: unary((c, x) => c.b.div(c.dy, x)),
  Pow: power,
  Max: extreme('GreaterOrEqual'),
  Min: extreme('LessOrEqual'),
  Where: where,
  GreaterOrEqual: noGradient,
  Greater: noGradient,
  LessOrEqual: noGradient,
  Less: noGradient,
  Equal: noGradient,
  Sign: (c) => {
    throw unsupported(c, 'as Where(x >= 0, 1, -1) only: its own slope is 0');
  },
};
