import { attrFloat } from '../attributes.ts';
import { giveInput, type Rule, unary } from './context.ts';

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

/** Types as ONNX numbers them. */
const [float, bool] = [1, 9];

export const activations: Readonly<Record<string, Rule>> = {
  // y is 0 exactly where x <= 0, so x need not be kept. By way of booleans the mask took a third of Sign's time.
  Relu: unary(({ b, dy }, _, y) => {
    const positive = b.op('Cast', [y], { to: bool });
    return b.mul(dy, b.op('Cast', [positive], { to: float }));
  }),
  Clip: clip,
  Sigmoid: unary(({ b, dy }, _, y) => b.mul(dy, b.mul(y, b.sub(b.scalar(1), y)))),
  HardSigmoid: hardSigmoid,
  HardSwish: hardSwish,
};
