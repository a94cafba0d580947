import { attrInt } from '../attributes.ts';
import { type Rule, reduceSum } from './context.ts';
import { inputGradient } from './conv-input.ts';
import { weightGradient } from './conv-weights.ts';
import { type Window, windowOf } from './window.ts';

/**
 * Two-dimensional convolution. n batch, c input and k output channels in g groups, [kh, kw] kernel, s stride,
 * d dilation, p pad, [h, w] input and [oh, ow] output size. Output channel k of group G reads the c / g channels of
 * that group; g = c is a depthwise convolution.
 *
 *   y[n,k,i,j] = sum over c,a,b of w[k,c,a,b] x[n, G c/g + c, i s + a d - p, j s + b d - p]
 */
export interface ConvGeometry extends Window {
  /** [k, c / groups, kh, kw] */
  readonly w: readonly number[];
  readonly groups: number;
}

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
