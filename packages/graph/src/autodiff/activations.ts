import { attrFloat } from '../attributes.ts';
import type { Value } from '../builder.ts';
import { giveInput, type Rule, type RuleContext, unary, unsupported } from './context.ts';

/**
 * y = min(max(x, lo), hi), ReLU6 with 0 and 6: dx = dy where lo < x < hi, else 0. A bound that is left out does not
 * bind. No gradient goes to the bounds.
 */
const clip: Rule = (c) => {
  const { b, node, dy } = c;
  const [x, lo = '', hi = ''] = node.input as [string, string?, string?];
  giveInput(c, 0, () => {
    const inside = [
      ...(lo === '' ? [] : [b.op('Greater', [x, lo])]),
      ...(hi === '' ? [] : [b.op('Less', [x, hi])]),
    ];
    if (inside.length === 0) return dy;
    return b.op('Where', [inside.length === 1 ? inside[0]! : b.op('And', inside), dy, b.scalar(0)]);
  });
};

/** y = min(max(alpha x + beta, 0), 1): dx = alpha dy where 0 < y < 1. */
const hardSigmoid: Rule = unary(({ b, node, dy }, _, y) => {
  const inside = b.op('And', [b.op('Greater', [y, b.scalar(0)]), b.op('Less', [y, b.scalar(1)])]);
  const slope = b.mul(dy, b.scalar(attrFloat(node, 'alpha', 0.2)));
  return b.op('Where', [inside, slope, b.scalar(0)]);
});

/** y = x h(x) with h(x) = min(max(x / 6 + 1/2, 0), 1): dx = dy (h(x) + x / 6 where |x| < 3). */
const hardSwish: Rule = unary(({ b, dy }, x) => {
  const h = b.op('HardSigmoid', [x], { alpha: { float: 1 / 6 }, beta: { float: 0.5 } });
  const inside = b.op('Less', [b.abs(x), b.scalar(3)]);
  const rise = b.op('Where', [inside, b.mul(x, b.scalar(1 / 6)), b.scalar(0)]);
  return b.mul(dy, b.add(h, rise));
});

/** y = x where x >= 0, else slope x, where the slope is broadcast: dx = dy or slope dy, dslope = 0 or x dy. */
const pRelu: Rule = (c) => {
  const { b, dy } = c;
  const [x, slope] = c.node.input as [string, string];
  const isAbove = b.op('GreaterOrEqual', [x, b.scalar(0)]);
  giveInput(c, 0, () => b.op('Where', [isAbove, dy, b.mul(slope, dy)]));
  giveInput(c, 1, () => b.op('Where', [isAbove, b.scalar(0), b.mul(x, dy)]));
};

/** y = x where x >= 0, else f(x): dx = dy, or dy f'(x), which `slope` gives. */
const aboveZero = (slope: (c: RuleContext, y: Value) => Value): Rule =>
  unary((c, x, y) => {
    const isAbove = c.b.op('GreaterOrEqual', [x, c.b.scalar(0)]);
    return c.b.op('Where', [isAbove, c.dy, c.b.mul(c.dy, slope(c, y))]);
  });

/** Outside of training it passes what it gets. */
const dropout: Rule = (c) => {
  if (c.node.input[2] && c.constant(c.node.input[2])?.join() !== '0')
    throw unsupported(c, 'outside of training');
  giveInput(c, 0, () => c.dy);
};

/** Types as ONNX numbers them. */
const [float, bool] = [1, 9];

export const activations: Readonly<Record<string, Rule>> = {
  // y is 0 exactly where x <= 0, so x need not be kept. By way of booleans the mask took a third of Sign's time.
  Relu: unary(({ b, dy }, _, y) => {
    const positive = b.op('Cast', [y], { to: bool });
    return b.mul(dy, b.op('Cast', [positive], { to: float }));
  }),
  Clip: clip,
  PRelu: pRelu,
  LeakyRelu: aboveZero(({ b, node }) => b.scalar(attrFloat(node, 'alpha', 0.01))),
  // alpha (exp(x) - 1) has the slope alpha exp(x).
  Elu: aboveZero(({ b, node }, y) => b.add(y, b.scalar(attrFloat(node, 'alpha', 1)))),
  Tanh: unary(({ b, dy }, _, y) => b.mul(dy, b.sub(b.scalar(1), b.mul(y, y)))),
  Sigmoid: unary(({ b, dy }, _, y) => b.mul(dy, b.mul(y, b.sub(b.scalar(1), y)))),
  HardSigmoid: hardSigmoid,
  HardSwish: hardSwish,
  Dropout: dropout,
};
