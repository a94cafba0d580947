import { attrInts, attrString } from '../attributes.ts';
import { type RuleContext, unsupported } from './context.ts';

export type Pair = readonly [number, number];

/**
 * How the window of a Conv or a pool slides over [h, w]. Output (i, j) reads input (i s + a d - top, j s + b d - left)
 * for each offset (a, b) of the kernel: s stride, d dilation.
 */
export interface Window {
  /** Shapes of input and output, NCHW. */
  readonly x: readonly number[];
  readonly y: readonly number[];
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  /** Padding before height and width, as the node says it or its auto_pad works out to. */
  readonly before: Pair;
  /**
   * Padding after height and width that the last window reaches into. It may differ from the node's own: less where
   * that is never read, more where ceil_mode lets a window stand over. Negative: how much of x no window reads.
   */
  readonly after: Pair;
}

/** @throws TierwiseError MODEL_UNSUPPORTED unless the node slides over two dimensions */
export function windowOf(c: Pick<RuleContext, 'node' | 'dims'>, kernelOfWeights?: readonly number[]): Window {
  const { node } = c;
  const [x, y] = [c.dims(node.input[0]!), c.dims(node.output[0]!)];
  if (x.length !== 4) throw unsupported(c, 'in two dimensions');
  const pair = (name: string): Pair => (attrInts(node, name) ?? [1, 1]) as [number, number];
  const kernel = (kernelOfWeights ?? attrInts(node, 'kernel_shape')) as [number, number];
  const [strides, dilations] = [pair('strides'), pair('dilations')];
  const autoPad = attrString(node, 'auto_pad', 'NOTSET') || 'NOTSET';
  const pads = autoPad === 'NOTSET' ? (attrInts(node, 'pads') ?? [0, 0, 0, 0]) : undefined;
  /** From the first place that a window reads to the last, along axis 0 (height) or 1 (width). */
  const span = (axis: 0 | 1) => (y[2 + axis]! - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1;
  const begin = (axis: 0 | 1): number => {
    if (pads) return pads[axis]!;
    const total = Math.max(0, span(axis) - x[2 + axis]!);
    if (autoPad === 'SAME_UPPER') return Math.floor(total / 2);
    return autoPad === 'SAME_LOWER' ? Math.ceil(total / 2) : 0;
  };
  const before: Pair = [begin(0), begin(1)];
  const end = (axis: 0 | 1) => span(axis) - before[axis] - x[2 + axis]!;
  return { x, y, kernel, strides, dilations, before, after: [end(0), end(1)] };
}

/** Attributes of the ConvTranspose that goes from a window's output back to its input. */
export function backwards(g: Window) {
  const [top, left] = g.before;
  const [bottom, right] = g.after;
  return {
    kernel_shape: g.kernel,
    strides: g.strides,
    dilations: g.dilations,
    pads: [top, left, Math.max(0, bottom), Math.max(0, right)],
    output_padding: [Math.max(0, -bottom), Math.max(0, -right)],
  };
}
