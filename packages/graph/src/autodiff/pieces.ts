import { attrInt } from '../attributes.ts';
import type { Value } from '../builder.ts';
import { type Rule, type RuleContext, unsupported } from './context.ts';

/** y = the inputs one after the other along an axis: each gets its own part of dy back. */
const concat: Rule = (c) => {
  const axis = normal(attrInt(c.node, 'axis', 0), c.dims(c.node.output[0]!).length);
  let start = 0;
  for (const x of c.node.input) {
    const end = start + c.dims(x)[axis]!;
    if (c.wanted(x) && end > start)
      c.give(x, c.b.slice(c.dy, { starts: [start], ends: [end], axes: [axis] }));
    start = end;
  }
};

/** The reverse of Concat; a part that nothing came back from counts as zeros. */
const split: Rule = (c) => {
  const { b, node } = c;
  const x = node.input[0]!;
  if (!c.wanted(x)) return;
  const parts = node.output.map(
    (output, i) => c.gradients[i] ?? b.op('Expand', [b.scalar(0), b.ints(...c.dims(output))]),
  );
  c.give(x, b.concat(parts, attrInt(node, 'axis', 0)));
};

/**
 * y[i] = x[start + i step] along each sliced axis. Going back, dy is put at the same places of a tensor of zeros:
 * turned around where step < 0, |step| - 1 zeros after each element, and zeros around it all.
 */
const slice: Rule = (c) => {
  const { b, node } = c;
  const x = node.input[0]!;
  if (!c.wanted(x)) return;
  const [from, to] = [c.dims(x), c.dims(node.output[0]!)];
  if (to.includes(0)) return;
  const starts = c.constant(node.input[1]!);
  const axes = optional(
    c,
    3,
    starts?.map((_, i) => i),
  );
  const steps = optional(
    c,
    4,
    starts?.map(() => 1),
  );
  if (!starts || !axes || !steps) throw unsupported(c, 'with constant bounds');
  const before = from.map(() => 0);
  const after = from.map(() => 0);
  let dx = c.dy;
  const dims = [...to];
  for (const [i, start] of starts.entries()) {
    const axis = normal(axes[i]!, from.length);
    const [size, count, step] = [from[axis]!, to[axis]!, steps[i]!];
    const stride = Math.abs(step);
    const wrapped = Math.min(Math.max(start < 0 ? start + size : start, 0), step > 0 ? size : size - 1);
    const first = step > 0 ? wrapped : wrapped + (count - 1) * step;
    if (step < 0) dx = b.slice(dx, { starts: [-1], ends: [-count - 1], axes: [axis], steps: [-1] });
    if (stride > 1) dx = spread(c, dx, dims, axis, stride);
    dims[axis] = (count - 1) * stride + 1;
    before[axis] = first;
    after[axis] = size - first - dims[axis]!;
  }
  c.give(x, [...before, ...after].some((n) => n > 0) ? b.op('Pad', [dx, b.ints(...before, ...after)]) : dx);
};

/** `value` of shape `dims` with stride - 1 zeros between its elements along `axis`. */
function spread(c: RuleContext, value: Value, dims: readonly number[], axis: number, stride: number): Value {
  const { b } = c;
  const count = dims[axis]!;
  const apart = b.reshape(value, [...dims.slice(0, axis + 1), 1, ...dims.slice(axis + 1)]);
  const pads = new Array<number>(2 * dims.length + 2).fill(0);
  pads[dims.length + 1 + axis + 1] = stride - 1;
  const filled = b.reshape(b.op('Pad', [apart, b.ints(...pads)]), dims.with(axis, count * stride));
  return b.slice(filled, { starts: [0], ends: [(count - 1) * stride + 1], axes: [axis] });
}

/** Constant input `i`, or `fallback` when the node has none; undefined when it is computed. */
function optional(c: RuleContext, i: number, fallback: readonly number[] | undefined) {
  const name = c.node.input[i];
  return name ? c.constant(name) : fallback;
}

const normal = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

export const pieces: Readonly<Record<string, Rule>> = { Concat: concat, Split: split, Slice: slice };
