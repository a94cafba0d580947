import { attrInt } from '../attributes.ts';
import type { Rule } from './context.ts';

/**
 * y = x - log sum exp x along one axis: dx = dy - softmax(x) * sum(dy), and softmax(x) = exp(y).
 * Cross-entropy written as -mean(sum(target * logSoftmax(x))) then has the gradient (softmax - target) / n,
 * for soft targets too.
 */
const logSoftmax: Rule = (c) => {
  const x = c.node.input[0]!;
  if (!c.wanted(x)) return;
  const axis = attrInt(c.node, 'axis', -1);
  const p = c.b.op('Exp', [c.node.output[0]!]);
  c.give(x, c.b.sub(c.dy, c.b.mul(p, c.b.sum(c.dy, [axis], 1))));
};

/** y = softmax(x): dx = y * (dy - sum(dy * y)). */
const softmax: Rule = (c) => {
  const x = c.node.input[0]!;
  if (!c.wanted(x)) return;
  const y = c.node.output[0]!;
  const inner = c.b.sum(c.b.mul(c.dy, y), [attrInt(c.node, 'axis', -1)], 1);
  c.give(x, c.b.mul(y, c.b.sub(c.dy, inner)));
};

export const softmaxes: Readonly<Record<string, Rule>> = { LogSoftmax: logSoftmax, Softmax: softmax };
