import type { Window } from './window.ts';

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
