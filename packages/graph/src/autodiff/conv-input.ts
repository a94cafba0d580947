import type { Value } from '../builder.ts';
import { asProduct, isSmallMap } from './columns.ts';
import type { RuleContext } from './context.ts';
import type { ConvGeometry } from './conv-geometry.ts';
import { backwards } from './window.ts';

/**
 * dx is the transposed convolution of dy with the same weights, in the same groups. With stride 1 it can also be
 * written as a Conv of dy with the weights turned by 180 degrees and input and output channels of each group
 * exchanged. Measured on onnxruntime: that is faster for 3x3 kernels with few weights and for depthwise ones; for
 * 5x5 ConvTranspose was, three times. On small maps that Conv is one product over the batch.
 */
export function inputGradient(c: RuleContext, g: ConvGeometry): Value {
  const { b } = c;
  const [k, inGroup, kh, kw] = g.w as [number, number, number, number];
  const { groups } = g;
  const pads = [...g.before, ...g.after].map((p, i) => (g.kernel[i % 2]! - 1) * g.dilations[i % 2]! - p);
  const canTurn = g.strides.every((s) => s === 1) && pads.every((p) => p >= 0);
  const [top, left, bottom, right] = pads as [number, number, number, number];
  const back = { ...g, x: g.y, y: g.x, before: [top, left], after: [bottom, right] } as const;
  if (canTurn && groups === 1 && isSmallMap(back, k, inGroup))
    return asProduct(b, c.dy, b.transpose(c.node.input[1]!, [1, 2, 3, 0]), back, {
      filters: inGroup,
      isTurned: true,
    });
  const isFast = inGroup === 1 && groups > 1 ? true : kh === 3 && kw === 3 && inGroup * k <= 16384;
  if (!canTurn || !isFast)
    return b.op('ConvTranspose', [c.dy, c.node.input[1]!], { ...backwards(g), group: groups });
  return b.op('Conv', [c.dy, turned(c, g)], {
    kernel_shape: g.kernel,
    dilations: g.dilations,
    pads,
    group: groups,
  });
}

/** The weights [k, c/g, kh, kw] as [c, k/g, kh, kw], both spatial axes turned around. */
function turned(c: RuleContext, g: ConvGeometry): Value {
  const { b } = c;
  const [k, inGroup, kh, kw] = g.w as [number, number, number, number];
  const outGroup = k / g.groups;
  let w = c.node.input[1]!;
  if (g.groups === 1) w = b.transpose(w, [1, 0, 2, 3]);
  else if (inGroup === 1 || outGroup === 1) w = b.reshape(w, [inGroup * g.groups, outGroup, kh, kw]);
  else {
    const swapped = b.transpose(b.reshape(w, [g.groups, outGroup, inGroup, kh, kw]), [0, 2, 1, 3, 4]);
    w = b.reshape(swapped, [inGroup * g.groups, outGroup, kh, kw]);
  }
  return b.slice(w, { starts: [-1, -1], ends: [-kh - 1, -kw - 1], axes: [2, 3], steps: [-1, -1] });
}
