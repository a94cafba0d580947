import { attrInt, attrString } from '../attributes.ts';
import { type Rule, type RuleContext, reduceSum } from './context.ts';
import type { ConvGeometry } from './conv-geometry.ts';
import { inputGradient } from './conv-input.ts';
import { weightGradient } from './conv-weights.ts';
import { windowOf } from './window.ts';

/**
 * The convolution as one of `x` before a Pad with a constant gave it a border, where that is what its input is: what the
 * border gets back is lost anyway, and of a map of 4x4 it is more than half.
 */
function withoutBorder(c: RuleContext, x: string, g: ConvGeometry): { source: string; g: ConvGeometry } {
  const pad = c.producer(x);
  if (pad?.opType !== 'Pad' || attrString(pad, 'mode', 'constant') !== 'constant') return { source: x, g };
  const [source, pads, value, axes] = pad.input as [string, string, string | undefined, string | undefined];
  const [n, k, top, left, n2, k2, bottom, right] = c.constant(pads) ?? [];
  const isAround =
    [n, k, n2, k2].every((p) => p === 0) &&
    [top, left, bottom, right].every((p) => p !== undefined && p >= 0);
  if (!isAround || axes || (value && c.wanted(value))) return { source: x, g };
  return {
    source,
    g: {
      ...g,
      x: c.dims(source),
      before: [g.before[0] + top!, g.before[1] + left!],
      after: [g.after[0] + bottom!, g.after[1] + right!],
    },
  };
}

const convolution: Rule = (c) => {
  const [x, w, bias] = c.node.input as [string, string, string | undefined];
  const g: ConvGeometry = {
    ...windowOf(c, c.dims(w).slice(2)),
    w: c.dims(w),
    groups: attrInt(c.node, 'group', 1),
  };
  if (c.wanted(w)) c.give(w, weightGradient(c, g));
  if (c.wanted(x)) {
    const inner = withoutBorder(c, x, g);
    c.give(inner.source, inputGradient(c, inner.g));
  }
  if (bias && c.wanted(bias)) c.give(bias, reduceSum(c.b, c.dy, g.y, [0, 2, 3]));
};

export const conv: Readonly<Record<string, Rule>> = { Conv: convolution };
