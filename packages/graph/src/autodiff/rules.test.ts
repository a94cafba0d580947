import { tensor } from '@tierwise/core';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { check, seeds, smooth, spaced } from '../../test/gradients.ts';
import type { GraphBuilder, Value } from '../builder.ts';

const runs = { numRuns: 20 };
const dim = fc.integer({ min: 1, max: 5 });
const shapes = fc.array(dim, { minLength: 1, maxLength: 3 });

describe('gradients equal finite differences over random shapes', () => {
  const functions: Record<string, (b: GraphBuilder, x: Value) => Value> = {
    'Clip, ReLU6': (b, x) => b.op('Clip', [x, b.scalar(0), b.scalar(1.01)]),
    'Clip below': (b, x) => b.op('Clip', [x, b.scalar(-0.33)]),
    'Clip above': (b, x) => b.op('Clip', [x, '', b.scalar(0.77)]),
    'Clip without bounds': (b, x) => b.op('Clip', [x]),
    Tanh: (b, x) => b.op('Tanh', [x]),
    LeakyRelu: (b, x) => b.op('LeakyRelu', [x], { alpha: { float: 0.3 } }),
    'LeakyRelu as it is by default': (b, x) => b.op('LeakyRelu', [x]),
    Elu: (b, x) => b.op('Elu', [x], { alpha: { float: 0.7 } }),
    'Dropout outside of training': (b, x) => b.op('Dropout', [x, b.scalar(0.5)]),
    Sigmoid: (b, x) => b.op('Sigmoid', [x]),
    HardSigmoid: (b, x) => b.op('HardSigmoid', [x], { alpha: { float: 0.4 }, beta: { float: 0.3 } }),
    'HardSigmoid as it is by default': (b, x) => b.op('HardSigmoid', [b.mul(x, b.scalar(2))]),
    HardSwish: (b, x) => b.op('HardSwish', [b.mul(x, b.scalar(2.9))]),
    'Pow 2': (b, x) => b.op('Pow', [x, b.scalar(2)]),
    'Pow 3': (b, x) => b.op('Pow', [x, b.ints(3)]),
    'Pow 1': (b, x) => b.op('Pow', [x, b.scalar(1)]),
    'Pow 0': (b, x) => b.op('Pow', [x, b.scalar(0)]),
    'Pow 0.5': (b, x) => b.op('Pow', [b.add(b.abs(x), b.scalar(0.5)), b.scalar(0.5)]),
    'Pow -1': (b, x) => b.op('Pow', [b.add(b.abs(x), b.scalar(1)), b.scalar(-1)]),
  };
  test.each(Object.entries(functions))('%s', (_, build) =>
    fc.assert(
      fc.asyncProperty(shapes, seeds, async (dims, seed) => {
        const inputs = { x: { dims, values: spaced(seed, dims) } };
        await check({ inputs, build: (b, v) => build(b, v['x']!) }, seed);
      }),
      runs,
    ),
  );

  test('PRelu with a slope for each channel or one for all', () =>
    fc.assert(
      fc.asyncProperty(dim, dim, dim, fc.boolean(), seeds, async (n, m, k, wide, seed) => {
        const slopes = wide ? [m, 1] : [1];
        const inputs = {
          x: { dims: [n, m, k], values: spaced(seed, [n, m, k]) },
          slope: { dims: slopes, values: smooth(seed, slopes) },
        };
        await check({ inputs, build: (b, v) => b.op('PRelu', [v['x']!, v['slope']!]) }, seed);
      }),
      runs,
    ));

  test('batch norm with the averages that it keeps', () =>
    fc.assert(
      fc.asyncProperty(dim, dim, fc.option(fc.tuple(dim, dim)), seeds, async (n, c, space, seed) => {
        const dims = [n, c, ...(space ?? [])];
        const inputs = {
          x: { dims, values: smooth(seed, dims) },
          gamma: { dims: [c], values: smooth(seed + 1, [c]) },
          beta: { dims: [c], values: smooth(seed + 2, [c]) },
        };
        const kept = (b: GraphBuilder, name: string, values: Float32Array) =>
          b.initializer(name, tensor('float32', [c], Float32Array.from(values)));
        const build = (b: GraphBuilder, v: Record<string, Value>) =>
          b.op('BatchNormalization', [
            v['x']!,
            v['gamma']!,
            v['beta']!,
            kept(b, 'mean', smooth(seed + 3, [c])),
            kept(
              b,
              'variance',
              smooth(seed + 4, [c]).map((value) => Math.abs(value) + 0.3),
            ),
          ]);
        await check({ inputs, build }, seed);
      }),
      runs,
    ));

  test('the larger and the smaller of two, with broadcasting', () =>
    fc.assert(
      fc.asyncProperty(dim, dim, dim, fc.boolean(), seeds, async (n, m, k, wide, seed) => {
        const all = spaced(seed, [n + 1, m, k]);
        const x = { dims: [n, m, k], values: all.slice(m * k) };
        const y = { dims: wide ? [1, m, k] : [m, k], values: all.slice(0, m * k) };
        await check(
          {
            inputs: { x, y },
            build: (b, v) =>
              b.add(b.op('Max', [v['x']!, v['y']!]), b.mul(b.op('Min', [v['x']!, v['y']!]), b.scalar(3))),
          },
          seed,
        );
        await check({ inputs: { x }, build: (b, v) => b.op('Max', [v['x']!]) }, seed);
      }),
      runs,
    ));

  test('Concat and Split, of which parts may be left unused', () =>
    fc.assert(
      fc.asyncProperty(
        dim,
        dim,
        dim,
        dim,
        fc.integer({ min: -3, max: 2 }),
        seeds,
        async (a, b2, b3, c, axis, seed) => {
          const at = axis < 0 ? axis + 3 : axis;
          const of = (size: number, s: number) => {
            const dims = [a, b2, b3].with(at, size);
            return { dims, values: smooth(seed + s, dims) };
          };
          await check(
            {
              inputs: { x: of(c, 0), y: of(a, 1), z: of(b3, 2) },
              build: (b, v) => b.op('Concat', [v['x']!, v['y']!, v['x']!, v['z']!], { axis }),
            },
            seed,
          );
          const build = (b: GraphBuilder, v: Record<string, Value>) => {
            const parts = b.opN('Split', [v['x']!, b.ints(c, 2, 1)], 3, { axis });
            return b.add(b.sum(parts[1]!, [at], 1), b.mul(parts[2]!, parts[2]!));
          };
          await check({ inputs: { x: of(c + 3, 3) }, build }, seed);
          await check({ inputs: { x: of(4, 4) }, build: (b, v) => b.mul(...halves(b, v['x']!, axis)) }, seed);
        },
      ),
      runs,
    ));

  test('Slice: bounds from either end, steps forwards and backwards', () =>
    fc.assert(
      fc.asyncProperty(
        fc.tuple(dim, dim, dim),
        fc.subarray([0, 1, 2], { minLength: 1 }),
        fc.array(fc.integer({ min: -7, max: 7 }), { minLength: 6, maxLength: 6 }),
        fc.array(fc.constantFrom(1, 2, 3, -1, -2), { minLength: 3, maxLength: 3 }),
        seeds,
        async (sizes, axes, bounds, steps, seed) => {
          const dims = sizes.map((size) => size + 1);
          const taken = axes.map((axis, i) => {
            // A start and an end that leave something, each written from the front or from the back.
            const [size, step] = [dims[axis]!, steps[i]!];
            const low = Math.abs(bounds[i]!) % size;
            const high = low + (Math.abs(bounds[i + 3]!) % (size - low));
            const [start, end] = step > 0 ? [low, high + 1] : [high, low - 1];
            return { start: bounds[i]! < 0 ? start - size : start, end: end < 0 ? -size - 1 : end, step };
          });
          const range = {
            starts: taken.map((t) => t.start),
            ends: taken.map((t) => t.end),
            steps: taken.map((t) => t.step),
          };
          const inputs = { x: { dims, values: smooth(seed, dims) } };
          await check({ inputs, build: (b, v) => b.slice(v['x']!, { ...range, axes }) }, seed);
        },
      ),
      { numRuns: 60 },
    ));

  test('MatMul of batches, stretched on either side, and of a batch with one matrix', () =>
    fc.assert(
      fc.asyncProperty(
        fc.tuple(dim, dim, dim, dim, dim),
        fc.constantFrom([0, 0], [1, 0], [0, 1], [2, 0], [0, 2]),
        seeds,
        async ([p, q, m, k, n], [shorterA, shorterB], seed) => {
          const batch = (shorter: number) => (shorter === 2 ? [] : shorter === 1 ? [1, q] : [p, q]);
          const a = [...batch(shorterA!), m, k];
          const w = [...batch(shorterB!), k, n];
          const inputs = {
            a: { dims: a, values: smooth(seed, a) },
            w: { dims: w, values: smooth(seed + 1, w) },
          };
          await check({ inputs, build: (b, v) => b.op('MatMul', [v['a']!, v['w']!]) }, seed);
        },
      ),
      runs,
    ));
});

function halves(b: GraphBuilder, x: Value, axis: number): [Value, Value] {
  return b.opN('Split', [x], 2, { axis, num_outputs: 2 }) as [Value, Value];
}
