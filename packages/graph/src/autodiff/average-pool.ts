import { tensor } from '@tierwise/core';
import { attrInt, attrString } from '../attributes.ts';
import { type Rule, unsupported } from './context.ts';
import { backwards, type Window, windowOf } from './window.ts';

/**
 * y = mean of the window, over all of it (count_include_pad 1) or over what of it lies within x (0). So dy, divided
 * by how many were counted, goes back to each of them: a transposed convolution with ones, every channel alone.
 * Windows that stand side by side and cover x exactly need no sums: dy is repeated.
 */
const averagePool: Rule = (c) => {
  const { b, node } = c;
  const x = node.input[0]!;
  if (!c.wanted(x)) return;
  const g = windowOf(c);
  const withPads = attrInt(node, 'count_include_pad', 0) === 1;
  if (withPads && attrInt(node, 'ceil_mode', 0) === 1)
    throw unsupported(c, 'with count_include_pad or ceil_mode, not with both');
  // Where SAME asks for less than no padding onnxruntime's pools start inside x, its convolutions do not.
  if (attrString(node, 'auto_pad', '').startsWith('SAME') && g.after.some((p) => p < 0))
    throw unsupported(c, 'with auto_pad SAME when its windows reach all of the input');
  const [n, channels, h, w] = g.x as [number, number, number, number];
  const [, , oh, ow] = g.y as [number, number, number, number];
  const [kh, kw] = g.kernel;
  const isPadded = [...g.before, ...g.after].some((p) => p > 0);
  const share =
    isPadded && !withPads
      ? b.op('Constant', [], { value: { tensor: tensor('float32', [1, 1, oh, ow], shares(g)) } })
      : b.scalar(1 / (kh * kw));
  const each = b.mul(c.dy, share);
  if (kh === g.strides[0] && kw === g.strides[1] && oh * kh === h && ow * kw === w && !isPadded) {
    const tiles = b.reshape(each, [n, channels, oh, 1, ow, 1]);
    const repeated = b.op('Expand', [tiles, b.ints(n, channels, oh, kh, ow, kw)]);
    c.give(x, b.reshape(repeated, g.x));
    return;
  }
  const ones = b.op('Expand', [b.scalar(1), b.ints(1, 1, kh, kw)]);
  const planes = b.reshape(each, [n * channels, 1, oh, ow]);
  c.give(x, b.reshape(b.op('ConvTranspose', [planes, ones], backwards(g)), g.x));
};

/** 1 / how many places of each window lie within x, [oh, ow]. */
function shares(g: Window): Float32Array<ArrayBuffer> {
  const counts = ([0, 1] as const).map((axis) =>
    Array.from({ length: g.y[2 + axis]! }, (_, i) => {
      const start = i * g.strides[axis] - g.before[axis];
      const places = Array.from({ length: g.kernel[axis] }, (_, a) => start + a * g.dilations[axis]);
      return places.filter((at) => at >= 0 && at < g.x[2 + axis]!).length;
    }),
  );
  return Float32Array.from(counts[0]!.flatMap((rows) => counts[1]!.map((columns) => 1 / (rows * columns))));
}

/** y = mean over height and width: dy, divided by their product, goes to every place. */
const globalAveragePool: Rule = (c) => {
  const x = c.node.input[0]!;
  if (!c.wanted(x)) return;
  const dims = c.dims(x);
  const places = dims.slice(2).reduce((product, dim) => product * dim, 1);
  c.give(x, c.b.op('Expand', [c.b.mul(c.dy, c.b.scalar(1 / places)), c.b.ints(...dims)]));
};

export const averagePools: Readonly<Record<string, Rule>> = {
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
};
