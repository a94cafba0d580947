import { attrInt, attrInts, attrString } from '../attributes.ts';
import { type Rule, unsupported } from './context.ts';

/** The gradient of a tensor that was only laid out anew is laid out as the tensor was. */
const reshaped: Rule = (c) => {
  const x = c.node.input[0]!;
  if (c.wanted(x)) c.give(x, c.b.reshape(c.dy, c.dims(x)));
};

/** y[i] = x[perm[i]], so the inverse permutation brings the gradient back. */
const transposed: Rule = (c) => {
  const x = c.node.input[0]!;
  if (!c.wanted(x)) return;
  const rank = c.dims(x).length;
  const perm = attrInts(c.node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const inverse = perm.map((_, i) => perm.indexOf(i));
  c.give(x, c.b.transpose(c.dy, inverse));
};

/** What was added around x has no origin: the gradient is the part of dy where x lies. */
const padded: Rule = (c) => {
  const x = c.node.input[0]!;
  if (!c.wanted(x)) return;
  const dims = c.dims(x);
  const pads = c.constant(c.node.input[1]!);
  if (
    !pads ||
    pads.length !== 2 * dims.length ||
    pads.some((p) => p < 0) ||
    attrString(c.node, 'mode', 'constant') !== 'constant'
  )
    throw unsupported(c, 'with constant pads >= 0 for every axis, filled with a constant');
  const axes = dims.map((_, i) => i).filter((i) => pads[i] !== 0 || pads[i + dims.length] !== 0);
  if (axes.length === 0) c.give(x, c.dy);
  else
    c.give(
      x,
      c.b.slice(c.dy, {
        starts: axes.map((i) => pads[i]!),
        ends: axes.map((i) => pads[i]! + dims[i]!),
        axes,
      }),
    );
};

/** A sum spreads its gradient over what was summed; a mean spreads it divided by how many there were. */
const reduced = (isMean: boolean): Rule => {
  return (c) => {
    const x = c.node.input[0]!;
    if (!c.wanted(x)) return;
    const dims = c.dims(x);
    const named = c.node.input[1] ? c.constant(c.node.input[1]) : attrInts(c.node, 'axes');
    if (c.node.input[1] && !named) throw unsupported(c, 'over constant axes');
    const all = dims.map((_, i) => i);
    const axes =
      named && named.length > 0
        ? named.map((a) => (a < 0 ? a + dims.length : a))
        : attrInt(c.node, 'noop_with_empty_axes', 0)
          ? []
          : all;
    const kept = c.b.reshape(
      c.dy,
      dims.map((dim, i) => (axes.includes(i) ? 1 : dim)),
    );
    const spread = c.b.op('Expand', [kept, c.b.ints(...dims)]);
    const elements = axes.reduce((product, axis) => product * dims[axis]!, 1);
    c.give(x, isMean ? c.b.mul(spread, c.b.scalar(1 / elements)) : spread);
  };
};

export const shape: Readonly<Record<string, Rule>> = {
  Reshape: reshaped,
  Flatten: reshaped,
  Squeeze: reshaped,
  Unsqueeze: reshaped,
  Transpose: transposed,
  Pad: padded,
  ReduceSum: reduced(false),
  ReduceMean: reduced(true),
};
