import { tensor } from '@tierwise/core';
import type { GraphBuilder } from '@tierwise/graph';
import type { Feature } from './layers.ts';

/** A side of `size` at this `share` of itself, at least 1. */
export const shrunkSide = (size: number, share: number): number => Math.max(1, Math.round(size * share));

/**
 * Maps [n, c, h, w] with both sides at `share` of what they were, each number the average of the area that it covers: two
 * matrix products, so that any share will do. At 1 it is `x` itself.
 */
export function shrunk(b: GraphBuilder, x: Feature, share: number): Feature {
  if (share === 1) return x;
  const [n, c, h, w] = x.dims as [number, number, number, number];
  const [height, width] = [shrunkSide(h, share), shrunkSide(w, share)];
  const rows = b.op('Constant', [], { value: { tensor: areas(h, height) } });
  const columns = b.transpose(b.op('Constant', [], { value: { tensor: areas(w, width) } }), [1, 0]);
  return {
    value: b.op('MatMul', [rows, b.op('MatMul', [x.value, columns])]),
    dims: [n, c, height, width],
  };
}

/** [to, from]: how much of each of `to` equal parts of a line is covered by each of `from`; rows sum to 1. */
function areas(from: number, to: number) {
  const each = from / to;
  const covered = Float32Array.from({ length: to * from }, (_, at) => {
    const [i, j] = [Math.floor(at / from), at % from];
    return Math.max(0, Math.min(j + 1, (i + 1) * each) - Math.max(j, i * each)) / each;
  });
  return tensor('float32', [to, from], covered);
}
