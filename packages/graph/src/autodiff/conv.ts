import { attrInt } from '../attributes.ts';
import { type Rule, reduceSum } from './context.ts';
import type { ConvGeometry } from './conv-geometry.ts';
import { inputGradient } from './conv-input.ts';
import { weightGradient } from './conv-weights.ts';
import { windowOf } from './window.ts';

const convolution: Rule = (c) => {
  const [x, w, bias] = c.node.input as [string, string, string | undefined];
  const g: ConvGeometry = {
    ...windowOf(c, c.dims(w).slice(2)),
    w: c.dims(w),
    groups: attrInt(c.node, 'group', 1),
  };
  if (c.wanted(w)) c.give(w, weightGradient(c, g));
  if (c.wanted(x)) c.give(x, inputGradient(c, g));
  if (bias && c.wanted(bias)) c.give(bias, reduceSum(c.b, c.dy, g.y, [0, 2, 3]));
};

export const conv: Readonly<Record<string, Rule>> = { Conv: convolution };
