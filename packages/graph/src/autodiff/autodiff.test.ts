import { tensor } from '@tierwise/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { check, count, run, seeds, smooth, spaced } from '../../test/gradients.ts';
import { GraphBuilder, type Value } from '../builder.ts';
import { writeOnnx } from '../model.ts';
import { differentiableOps, differentiate } from './index.ts';

const runs = { numRuns: 12 };
const dim = fc.integer({ min: 1, max: 5 });

describe('gradients equal finite differences over random shapes', () => {
  test('element by element, with broadcasting', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(dim, { minLength: 1, maxLength: 4 }),
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        fc.nat(3),
        seeds,
        async (dims, ones, drop, seed) => {
          const small = dims.map((d, i) => (ones[i] ? 1 : d)).slice(Math.min(drop, dims.length - 1));
          const x = { dims, values: smooth(seed, dims) };
          const y = {
            dims: small,
            values: smooth(seed + 9, small).map((v) => Math.sign(v) * (Math.abs(v) + 0.5)),
          };
          await check(
            {
              inputs: { x, y },
              build: (b, v) => b.add(b.mul(v['x']!, v['y']!), b.div(b.sub(v['x']!, v['y']!), v['y']!)),
            },
            seed,
          );
          await check(
            {
              inputs: { x, y },
              build: (b, v) => b.op('Sum', [b.neg(v['x']!), v['y']!, b.op('Identity', [v['y']!])]),
            },
            seed,
          );
        },
      ),
      runs,
    ));

  test('functions of one value', () =>
    fc.assert(
      fc.asyncProperty(fc.array(dim, { minLength: 1, maxLength: 3 }), seeds, async (dims, seed) => {
        await check(
          {
            inputs: { x: { dims, values: spaced(seed, dims) } },
            build: (b, v) => b.add(b.relu(v['x']!), b.abs(v['x']!)),
          },
          seed,
        );
        const positive = spaced(seed, dims).map((v) => Math.abs(v) + 0.5);
        await check(
          {
            inputs: { x: { dims, values: positive } },
            build: (b, v) => b.add(b.sqrt(v['x']!), b.op('Exp', [b.op('Log', [v['x']!])])),
          },
          seed,
        );
      }),
      runs,
    ));

  test('sums, means and layouts', () =>
    fc.assert(
      fc.asyncProperty(
        fc.tuple(dim, dim, dim, dim),
        fc.subarray([0, 1, 2, 3], { minLength: 1 }),
        fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
        fc.boolean(),
        seeds,
        async (dims, axes, perm, keep, seed) => {
          const x = { dims, values: smooth(seed, dims) };
          const kept = keep ? 1 : 0;
          await check(
            {
              inputs: { x },
              build: (b, v) => b.add(b.sum(v['x']!, axes, kept), b.mean(v['x']!, axes, kept)),
            },
            seed,
          );
          await check(
            {
              inputs: { x },
              build: (b, v) =>
                b.op('Flatten', [b.reshape(b.transpose(v['x']!, perm), [count(dims)])], { axis: 0 }),
            },
            seed,
          );
          await check(
            {
              inputs: { x },
              build: (b, v) => b.op('Pad', [v['x']!, b.ints(0, 1, 2, 0, 1, 0, 0, 3), b.scalar(-1)]),
            },
            seed,
          );
        },
      ),
      runs,
    ));

  test('matrix products', () =>
    fc.assert(
      fc.asyncProperty(
        dim,
        dim,
        dim,
        fc.constantFrom(0, 1),
        fc.constantFrom(0, 1),
        seeds,
        async (m, k, n, transA, transB, seed) => {
          const a = { dims: transA ? [k, m] : [m, k], values: smooth(seed, [m, k]) };
          const w = { dims: transB ? [n, k] : [k, n], values: smooth(seed + 1, [k, n]) };
          const bias = { dims: [n], values: smooth(seed + 2, [n]) };
          await check(
            {
              inputs: { a, w, bias },
              build: (b, v) =>
                b.gemm(v['a']!, v['w']!, { transA: transA as 0 | 1, transB: transB as 0 | 1, c: v['bias']! }),
            },
            seed,
          );
          if (!transA && !transB)
            await check({ inputs: { a, w }, build: (b, v) => b.op('MatMul', [v['a']!, v['w']!]) }, seed);
        },
      ),
      runs,
    ));

  test('convolution: kernels, strides, pads, few and many channels', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          n: fc.integer({ min: 1, max: 3 }),
          c: fc.constantFrom(1, 2, 3, 15, 16, 20),
          k: dim,
          kernel: fc.constantFrom(1, 2, 3, 5),
          stride: fc.constantFrom(1, 2),
          pad: fc.constantFrom(0, 1, 2),
          size: fc.integer({ min: 5, max: 9 }),
        }),
        seeds,
        async ({ n, c, k, kernel, stride, pad, size }, seed) => {
          if (pad >= kernel) return;
          const x = { dims: [n, c, size, size + 1], values: smooth(seed, [n, c, size, size + 1]) };
          const w = { dims: [k, c, kernel, kernel], values: smooth(seed + 1, [k, c, kernel, kernel]) };
          const bias = { dims: [k], values: smooth(seed + 2, [k]) };
          await check(
            {
              inputs: { x, w, bias },
              build: (b, v) =>
                b.op('Conv', [v['x']!, v['w']!, v['bias']!], {
                  kernel_shape: [kernel, kernel],
                  strides: [stride, stride],
                  pads: [pad, pad, pad, pad],
                }),
            },
            seed,
          );
        },
      ),
      { numRuns: 40 },
    ));

  test('max pooling, windows apart and overlapping', () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom([2, 2, 0], [3, 3, 0], [3, 2, 1], [3, 1, 1], [2, 1, 0], [2, 2, 1]),
        dim,
        dim,
        fc.integer({ min: 4, max: 9 }),
        seeds,
        async ([kernel, stride, pad], n, c, size, seed) => {
          const dims = [n, c, size, size + 1];
          await check(
            {
              inputs: { x: { dims, values: spaced(seed, dims) } },
              build: (b, v) =>
                b.op('MaxPool', [v['x']!], {
                  kernel_shape: [kernel!, kernel!],
                  strides: [stride!, stride!],
                  pads: [pad!, pad!, pad!, pad!],
                }),
            },
            seed,
            { h: 1e-4, tolerance: 0.05 },
          );
        },
      ),
      { numRuns: 24 },
    ));

  test('batch norm over two and four dimensions', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 3, max: 6 }),
        dim,
        fc.option(fc.tuple(fc.integer({ min: 2, max: 4 }), dim)),
        seeds,
        async (n, c, space, seed) => {
          const dims = [n, c, ...(space ?? [])];
          const inputs = {
            x: { dims, values: smooth(seed, dims, 1).map((v, i) => v * (1 + (i % 3))) },
            gamma: { dims: [c], values: smooth(seed + 1, [c]) },
            beta: { dims: [c], values: smooth(seed + 2, [c]) },
          };
          const build = (b: GraphBuilder, v: Record<string, Value>) =>
            b.opN(
              'BatchNormalization',
              [
                v['x']!,
                v['gamma']!,
                v['beta']!,
                b.sub(v['gamma']!, v['gamma']!),
                b.sub(v['beta']!, v['beta']!),
              ],
              3,
              { training_mode: 1, momentum: { float: 0 } },
            )[0]!;
          await check({ inputs, build }, seed, { tolerance: 0.03 });
        },
      ),
      runs,
    ));

  test('softmax, log-softmax and cross-entropy', () =>
    fc.assert(
      fc.asyncProperty(dim, fc.integer({ min: 2, max: 10 }), seeds, async (n, classes, seed) => {
        const x = { dims: [n, classes], values: smooth(seed, [n, classes]) };
        await check({ inputs: { x }, build: (b, v) => b.op('Softmax', [v['x']!], { axis: 1 }) }, seed);
        await check(
          {
            inputs: { x },
            build: (b, v) => b.neg(b.mean(b.sum(b.op('LogSoftmax', [v['x']!], { axis: 1 }), [1]), [0])),
          },
          seed,
        );
      }),
      runs,
    ));

  test('selection by Where', () =>
    fc.assert(
      fc.asyncProperty(dim, dim, seeds, async (n, m, seed) => {
        const dims = [n, m];
        const inputs = {
          x: { dims, values: spaced(seed, dims) },
          y: { dims: [m], values: smooth(seed, [m]) },
        };
        await check(
          {
            inputs,
            build: (b, v) => b.op('Where', [b.op('Greater', [v['x']!, b.scalar(0)]), v['x']!, v['y']!]),
          },
          seed,
        );
      }),
      runs,
    ));
});

test('sign is straight through: forward +-1 with sign(0) = +1, backward dy where |x| <= 1', async () => {
  const b = new GraphBuilder('sign');
  const x = b.input('x', 'float32', [6]);
  const y = b.sign(x);
  const weights = b.input('r', 'float32', [6]);
  const g = differentiate(b, b.sum(b.mul(y, weights), [0]), ['x']).get('x')!;
  b.output(y, 'float32', [6], 'y');
  b.output(g, 'float32', [6], 'g');
  const get = await run(
    writeOnnx(b.model),
    {
      x: tensor('float32', [6], Float32Array.of(-2, -1, -0.5, 0, 1, 1.5)),
      r: tensor('float32', [6], Float32Array.of(1, 2, 3, 4, 5, 6)),
    },
    ['y', 'g'],
  );
  expect([...get('y')]).toEqual([-1, -1, -1, 1, 1, 1]);
  expect([...get('g')]).toEqual([0, 2, 3, 4, 5, 0]);
});

test('rounding is straight through: forward the nearest whole number, backward dy', async () => {
  const b = new GraphBuilder('round');
  const x = b.input('x', 'float32', [5]);
  const y = b.op('Round', [x]);
  const weights = b.input('r', 'float32', [5]);
  const g = differentiate(b, b.sum(b.mul(y, weights), [0]), ['x']).get('x')!;
  b.output(y, 'float32', [5], 'y');
  b.output(g, 'float32', [5], 'g');
  const get = await run(
    writeOnnx(b.model),
    {
      x: tensor('float32', [5], Float32Array.of(-1.6, -0.4, 0.5, 1.5, 200.2)),
      r: tensor('float32', [5], Float32Array.of(1, 2, 3, 4, 5)),
    },
    ['y', 'g'],
  );
  // Halves go to the even neighbour, and + 0 makes -0 and 0 the same number.
  expect(Array.from(get('y'), (v) => v + 0)).toEqual([-2, 0, 0, 2, 200]);
  expect([...get('g')]).toEqual([1, 2, 3, 4, 5]);
});

test('the sign of what is kept within [-1, 1] passes the gradient without a look at it', async () => {
  const nodes = (bounded: ReadonlySet<string>) => {
    const b = new GraphBuilder('bounded');
    const x = b.input('x', 'float32', [3]);
    const r = b.input('r', 'float32', [3]);
    const g = differentiate(b, b.sum(b.mul(b.sign(x), r), [0]), ['x'], { bounded }).get('x')!;
    b.output(g, 'float32', [3], 'g');
    return { bytes: writeOnnx(b.model), ops: b.graph.node.map(({ opType }) => opType) };
  };
  const { bytes, ops } = nodes(new Set(['x']));
  expect(nodes(new Set()).ops).toContain('LessOrEqual');
  expect(ops).not.toContain('LessOrEqual');
  const inputs = {
    x: tensor('float32', [3], Float32Array.of(-1, 0.3, 1)),
    r: tensor('float32', [3], Float32Array.of(4, 5, 6)),
  };
  expect([...(await run(bytes, inputs, ['g']))('g')]).toEqual([4, 5, 6]);
});

test('a tensor with several consumers sums what they send back', () =>
  check(
    {
      inputs: { x: { dims: [3, 3], values: smooth(5, [3, 3]) } },
      build: (b, v) => b.add(b.mul(v['x']!, v['x']!), b.gemm(v['x']!, v['x']!)),
    },
    5,
  ));

test('what cannot be differentiated is named', () => {
  const refused = (build: (b: GraphBuilder, x: Value) => Value, what: RegExp) => {
    const b = new GraphBuilder('no');
    const y = build(b, b.input('x', 'float32', [2, 3, 4, 4]));
    const loss = b.op('ReduceSum', [y], { keepdims: 0 });
    const code = expect.objectContaining({ code: 'MODEL_UNSUPPORTED' });
    expect(() => differentiate(b, loss, ['x'])).toThrow(code);
    expect(() => differentiate(b, loss, ['x'])).toThrow(what);
  };
  refused((b, x) => b.op('Erf', [x]), /^Erf "Erf_erf" cannot be differentiated/);
  refused((b, x) => b.op('Pow', [x, x]), /one constant exponent/);
  refused((b, x) => b.op('Max', [x, x, x]), /two inputs/);
  refused((b, x) => b.op('MaxPool', [x], { kernel_shape: [2, 2], storage_order: 1 }), /column-major/);
  const both = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1, ceil_mode: 1 };
  refused((b, x) => b.op('AveragePool', [x], both), /not with both/);
  const gaps = { kernel_shape: [1, 1], strides: [3, 3], auto_pad: 'SAME_UPPER' };
  refused((b, x) => b.op('AveragePool', [b.op('Concat', [x, x], { axis: 2 })], gaps), /auto_pad SAME/);
  refused(
    (b, x) => b.op('Cast', [b.opN('MaxPool', [x], 2, { kernel_shape: [2, 2] })[1]!], { to: 1 }),
    /Cast/,
  );
  refused((b, x) => {
    const b3 = b.opN(
      'BatchNormalization',
      [x, ...['s', 'b', 'm', 'v'].map((n) => b.input(n, 'float32', [3]))],
      3,
      {
        training_mode: 1,
        momentum: { float: 0 },
      },
    );
    return b3[1]!;
  }, /by its first output alone/);
  refused((b, x) => {
    const average = b.mean(x, [0, 2, 3]);
    return b.op('BatchNormalization', [x, average, average, average, average]);
  }, /where the averages that it keeps are constants/);
  refused(
    (b, x) => b.op('Dropout', [x, b.scalar(0.5), b.initializer('on', tensor('bool', [], Uint8Array.of(1)))]),
    /outside of training/,
  );
  refused((b, x) => b.op('Sign', [x]), /its own slope is 0/);
  const other = new GraphBuilder('no');
  expect(() => differentiate(other, other.sum(other.input('z', 'float32', [2]), [0]), ['x'])).toThrow(
    /does not depend on x/,
  );
  other.model.opsetImport[0]!.version = 12n;
  expect(() => differentiate(other, 'z', ['z'])).toThrow(/opset 12 cannot be differentiated/);
  expect(differentiableOps).toContain('Conv');
});
