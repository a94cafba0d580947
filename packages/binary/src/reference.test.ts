import { elementCount, random, type Tensor, tensor } from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dot, draw, drawShape, drawWindow, naiveConv, naivePool, plusMinus } from '../test/naive.ts';
import { packBits } from './bits.ts';
import { readProgram, writeProgram } from './file.ts';
import type { Op, Shape, Window } from './program.ts';
import { runReference } from './reference.ts';

/** Runs `ops` on `x` through a file, so that the tests see what an engine sees, and gives the last value. */
function evaluate(shape: Shape, x: readonly number[], ops: readonly Op[], tensors: Record<string, Tensor>) {
  const outputs = [{ tensor: 'x', value: 0, dims: [1, shape.c, shape.h, shape.w] }];
  const file = writeProgram(
    { input: { tensor: 'x', shape }, ops, outputs },
    new Map(Object.entries(tensors)),
  );
  const loaded = readProgram(file);
  return { y: runReference(loaded, Float32Array.from(x)).at(-1)!, shape: loaded.values.at(-1)!.shape };
}

const floats = (...values: number[]) => tensor('float32', [values.length], Float32Array.from(values));
const bitStream = (weights: readonly number[]) => {
  const stream = packBits(weights);
  return tensor('uint8', [stream.length], stream);
};

/** An operation that turns the +-1 input into bits, so that binary operations can be tested. */
const signed = (c: number) => ({
  op: { kind: 'binarize', input: 0, output: 1, threshold: 'zero' } satisfies Op,
  tensors: { zero: floats(...draw(c, () => 0)) },
});

/** Weights [k][c][ky*kx] in the order of a bit stream, [k][ky*kx][c]. */
const channelsLast = (kernels: readonly number[][], c: number) =>
  kernels.flatMap((kernel) => {
    const area = kernel.length / c;
    return draw(kernel.length, () => 0).map((_, i) => kernel[(i % c) * area + Math.floor(i / c)]!);
  });

const seeds = fc.integer({ min: 0, max: 2 ** 31 });

function eachShape(check: (shape: Shape, window: Window, stream: ReturnType<typeof random>) => void): void {
  const grid: Shape[] = [1, 3, 8, 9].flatMap((c) =>
    [
      [1, 1],
      [2, 5],
      [7, 7],
    ].map(([h, w]) => ({ c, h: h!, w: w! })),
  );
  for (const [i, shape] of grid.entries()) check(shape, drawWindow(shape, random(1, i)), random(2, i));
  fc.assert(
    fc.property(seeds, (seed) => {
      const stream = random(seed);
      const shape = drawShape(stream);
      check(shape, drawWindow(shape, stream), stream);
    }),
    { numRuns: 60 },
  );
}

const elements = ({ c, h, w }: Shape) => elementCount([c, h, w]);

test('convReal is the convolution with zero padding, exact for whole numbers', () => {
  eachShape((shape, window, stream) => {
    const k = 1 + stream.below(4);
    const x = draw(elements(shape), () => stream.below(256));
    const terms = shape.c * window.kernelH * window.kernelW;
    const kernels = draw(k, () => draw(terms, () => stream.below(255) - 127));
    const weights = Int16Array.from(kernels.flat());
    const { y } = evaluate(
      shape,
      x,
      [{ kind: 'convReal', input: 0, output: 1, window, weights: 'w', channels: k }],
      { w: tensor('int16', [k, shape.c, window.kernelH, window.kernelW], weights) },
    );
    expect([...y]).toEqual(naiveConv(x, shape, window, kernels, 0));
  });
});

test('convBinary is the convolution of +-1 numbers with -1 as padding; pools of sums and bits are maxima', () => {
  eachShape((shape, window, stream) => {
    const k = 1 + stream.below(11);
    const x = draw(elements(shape), plusMinus(stream));
    const kernels = draw(k, () => draw(shape.c * window.kernelH * window.kernelW, plusMinus(stream)));
    const bits = signed(shape.c);
    const conv: Op = { kind: 'convBinary', input: 1, output: 2, window, weights: 'w', channels: k };
    const tensors = { ...bits.tensors, w: bitStream(channelsLast(kernels, shape.c)) };
    const expected = naiveConv(x, shape, window, kernels, -1);
    const sums = evaluate(shape, x, [bits.op, conv], tensors);
    expect([...sums.y]).toEqual(expected);
    expect(sums.y).toBeInstanceOf(Int32Array);

    const pool = drawWindow(sums.shape, stream);
    const pooled = evaluate(
      shape,
      x,
      [bits.op, conv, { kind: 'maxPool', input: 2, output: 3, window: pool }],
      tensors,
    );
    expect([...pooled.y]).toEqual(naivePool(expected, sums.shape, pool));

    const ored = evaluate(
      shape,
      x,
      [bits.op, { kind: 'maxPool', input: 1, output: 2, window }],
      bits.tensors,
    );
    expect([...ored.y]).toEqual(naivePool(x, shape, window).map((value) => (value + 1) / 2));
  });
});

test('depthwise is the convolution of each channel by itself with zero padding', () => {
  eachShape((shape, window, stream) => {
    const x = draw(elements(shape), plusMinus(stream));
    const { c, h, w } = shape;
    const area = window.kernelH * window.kernelW;
    const filters = draw(c, () => draw(area, () => stream.below(256) - 128));
    const bits = signed(c);
    const { y } = evaluate(
      shape,
      x,
      [bits.op, { kind: 'depthwise', input: 1, output: 2, window, weights: 'w' }],
      {
        ...bits.tensors,
        w: tensor('int8', [c, window.kernelH, window.kernelW], Int8Array.from(filters.flat())),
      },
    );
    expect(y).toBeInstanceOf(Int32Array);
    expect(Array.from(y, (sum) => sum + 0)).toEqual(
      filters.flatMap((filter, channel) => {
        const plane = x.slice(channel * h * w, (channel + 1) * h * w);
        return naiveConv(plane, { c: 1, h, w }, window, [filter], 0).map((sum) => sum + 0);
      }),
    );
  });
});

test('maxPool of reals ignores padding even when all values are negative', () => {
  eachShape((shape, window, stream) => {
    const x = draw(elements(shape), () => Math.fround(-1 - stream.uniform()));
    const { y } = evaluate(shape, x, [{ kind: 'maxPool', input: 0, output: 1, window }], {});
    expect([...y]).toEqual(naivePool(x, shape, window));
  });
});

test('denseBinary and denseReal are dot products over CHW', () => {
  eachShape((shape, _, stream) => {
    const n = 1 + stream.below(12);
    const x = draw(elements(shape), plusMinus(stream));
    const rows = draw(n, () => draw(x.length, plusMinus(stream)));
    const bits = signed(shape.c);
    const binary = evaluate(
      shape,
      x,
      [bits.op, { kind: 'denseBinary', input: 1, output: 2, weights: 'w', channels: n }],
      { ...bits.tensors, w: bitStream(rows.flat()) },
    );
    expect([...binary.y]).toEqual(rows.map((row) => dot(row, x)));

    const real = draw(n, () => draw(x.length, () => Math.fround(stream.normal())));
    const bias = draw(n, () => Math.fround(stream.normal()));
    const dense = evaluate(
      shape,
      x,
      [{ kind: 'denseReal', input: 0, output: 1, weights: 'w', bias: 'b', channels: n }],
      { w: tensor('float32', [n, x.length], Float32Array.from(real.flat())), b: floats(...bias) },
    );
    for (const [i, row] of real.entries()) expect(dense.y[i]).toBeCloseTo(dot(row, x) + bias[i]!, 4);
  });
});

test('affine rounds after the multiplication and after the addition, and relu cuts at 0', () => {
  const stream = random(5);
  const shape = { c: 6, h: 3, w: 4 };
  const x = draw(elements(shape), () => Math.fround(stream.normal() * 100));
  const scale = draw(6, () => Math.fround(stream.normal()));
  const bias = draw(6, () => Math.fround(stream.normal() * 100));
  const run = (relu: boolean) =>
    evaluate(shape, x, [{ kind: 'affine', input: 0, output: 1, scale: 's', bias: 'b', relu }], {
      s: floats(...scale),
      b: floats(...bias),
    }).y;
  // Float32Array stores round, so two of them are two roundings.
  const products = Float32Array.from(x, (value, i) => value * scale[Math.floor(i / 12)]!);
  const expected = Float32Array.from(products, (value, i) => value + bias[Math.floor(i / 12)]!);
  expect(run(false)).toEqual(expected);
  expect(run(true)).toEqual(expected.map((value) => (value > 0 ? value : 0)));
  // Fused arithmetic would differ somewhere, so the test can tell the two apart.
  expect(expected).not.toEqual(
    Float32Array.from(x, (value, i) => value * scale[Math.floor(i / 12)]! + bias[Math.floor(i / 12)]!),
  );
});

test('binarize compares with >=, or with <= where flip is set, for reals and sums', () => {
  const shape = { c: 4, h: 1, w: 3 };
  const x = [-1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1];
  const flip = tensor('uint8', [4], Uint8Array.of(0, 1, 0, 1));
  const real = evaluate(shape, x, [{ kind: 'binarize', input: 0, output: 1, threshold: 't', flip: 'f' }], {
    t: floats(0, 0, Infinity, Infinity),
    f: flip,
  });
  expect([...real.y]).toEqual([0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1]);

  // One weight of +1 per channel gives the sums -1, 1; thresholds are stored as int16 and read as int32.
  const bits = signed(1);
  const window = { kernelH: 1, kernelW: 1, strideH: 1, strideW: 1, padH: 0, padW: 0 };
  const sums = evaluate(
    { c: 1, h: 1, w: 2 },
    [-1, 1],
    [
      bits.op,
      { kind: 'convBinary', input: 1, output: 2, window, weights: 'w', channels: 4 },
      { kind: 'binarize', input: 2, output: 3, threshold: 't', flip: 'f' },
    ],
    {
      ...bits.tensors,
      w: bitStream([1, 1, 1, 1]),
      t: tensor('int16', [4], Int16Array.of(1, -1, 2, 1)),
      f: flip,
    },
  );
  expect([...sums.y]).toEqual([0, 1, 1, 0, 0, 0, 1, 1]);
});
