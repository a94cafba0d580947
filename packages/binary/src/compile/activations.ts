/** Activations that imported stems have and a program has no operation for, written with those that it has. */
import { attrFloat } from '@tierwise/graph';
import type { NodeScope, State } from './node-scope.ts';

/**
 * y = min(max(x, lo), hi), ReLU6 with 0 and 6, as lo + max(x - lo, 0) and hi - max(hi - x, 0): differences round, so
 * numbers inside the bounds can differ from onnxruntime's by half a unit in the last place of a bound.
 */
export function clip(n: NodeScope): State {
  const [lo, hi] = [1, 2].map((index) => n.optional(index)?.values[0]);
  const many = (value: number) => new Float32Array(n.emitter.info(n.state(0).base).shape.c).fill(value);
  let state = n.state(0);
  const step = (kind: 'mul' | 'add', value: number) => {
    if (kind === 'mul' || value !== 0) state = n.after(state, { kind, values: many(value) });
  };
  if (lo !== undefined && lo > -3.4e38) {
    step('add', -lo);
    state = n.after(state, { kind: 'relu' });
    step('add', lo);
  }
  if (hi !== undefined && hi < 3.4e38) {
    step('mul', -1);
    step('add', hi);
    state = n.after(state, { kind: 'relu' });
    step('mul', -1);
    step('add', hi);
  }
  return state;
}

/** y = x where x > 0, else slope x, as max(x, 0) + max(-x, 0) * -slope: one of the two is 0, so the sum is exact. */
function leaky(n: NodeScope, slope: Float32Array): State {
  const state = n.state(0);
  const x = n.real(state);
  const minus = { kind: 'mul', values: slope.map(() => -1) } as const;
  const relu = { kind: 'relu' } as const;
  const positive = n.emitter.affine(x, [relu], n.fail);
  const negative = n.emitter.affine(x, [minus, relu, { kind: 'mul', values: slope.map((s) => -s) }], n.fail);
  return { base: n.emitter.add(positive, negative, n.fail), steps: [] };
}

export function leakyRelu(n: NodeScope): State {
  const { c } = n.emitter.info(n.state(0).base).shape;
  return leaky(n, new Float32Array(c).fill(attrFloat(n.node, 'alpha', 0.01)));
}

export function pRelu(n: NodeScope): State {
  return leaky(n, n.perChannel(n.constant(1), n.state(0)));
}
