import { random, type Tensor, tensor } from '@tierwise/core';
import { expect, test } from 'vitest';
import { ProgramBuilder, square } from '../../test/program-builder.ts';
import { readProgram, writeProgram } from '../file.ts';
import { simdLayout } from '../kernels/layout.ts';
import { planProgram } from './plan.ts';

const kernels = (b: ProgramBuilder, outputs: readonly number[]) =>
  planProgram(b.finish(outputs), simdLayout).steps.map((step) =>
    step.kind === 'clear' ? 'clear' : step.kernel,
  );

test('LeNet: nothing is stored that nobody reads', () => {
  const b = new ProgramBuilder({ c: 1, h: 28, w: 28 }, random(1));
  const stem = b.affine(b.maxPool(b.convReal(0, square(5, 1, 0), 20, 9), square(2, 2, 0)), true);
  const sums = b.convBinary(b.binarize(stem, 100, false), square(5, 1, 0), 50);
  const bits = b.binarize(b.maxPool(sums, square(2, 2, 0)), 20, true);
  const scores = b.denseReal(b.affine(b.denseBinary(bits, 500), true), 10);
  const after = ['convTable', 'pool', 'convPopcount', 'blend', 'convReal'];
  expect(kernels(b, [scores])).toEqual(['convReal', 'pool', 'blend', ...after]);
  // The stem has to be turned into planes for whoever asks for it.
  expect(kernels(b, [stem, scores])).toEqual(['convReal', 'pool', 'blend', 'arrange', ...after]);
});

test('a residual block is a convolution and one pass over its sums', () => {
  const b = new ProgramBuilder({ c: 1, h: 8, w: 8 }, random(1));
  let sum = b.convReal(0, square(1, 1, 0), 64, 9);
  for (let block = 0; block < 2; block++) {
    const sums = b.convBinary(b.binarize(sum, 100, false), square(3, 1, 1), 64);
    sum = b.add(b.affine(sums, false), sum);
  }
  expect(kernels(b, [b.meanPool(sum)])).toEqual([
    'convReal',
    'clear',
    'blend',
    'convTable',
    'clear',
    'blend',
    'convTable',
    'blend',
    'mean',
  ]);
});

test('activations share memory: ten layers take no more than two', () => {
  const layers = (count: number) => {
    const b = new ProgramBuilder({ c: 64, h: 16, w: 16 }, random(1));
    let bits = b.binarize(0, 100, false);
    for (let i = 0; i < count; i++) bits = b.binarize(b.convBinary(bits, square(3, 1, 1), 64), 20, false);
    return planProgram(b.finish([bits]), simdLayout);
  };
  expect(layers(10).arenaBytes).toBe(layers(2).arenaBytes);
  expect(layers(10).weightBytes).toBeGreaterThan(4 * layers(2).weightBytes);
});

test('a small file cannot ask for more than 1 GiB', () => {
  const inputs = 2 ** 23;
  const loaded = readProgram(
    writeProgram(
      {
        input: { tensor: 'x', shape: { c: 1, h: 2 ** 12, w: 2 ** 11 } },
        ops: [
          { kind: 'binarize', input: 0, output: 1, threshold: 't' },
          { kind: 'denseBinary', input: 1, output: 2, weights: 'w', channels: 120 },
        ],
        outputs: [{ tensor: 'y', value: 2, dims: [1, 120] }],
      },
      new Map<string, Tensor>([
        ['t', tensor('float32', [1], new Float32Array(1))],
        ['w', tensor('uint8', [(120 * inputs) / 8], new Uint8Array((120 * inputs) / 8))],
      ]),
    ),
  );
  expect(() => planProgram(loaded, simdLayout)).toThrow(
    expect.objectContaining({ code: 'PROGRAM_CORRUPT', message: expect.stringContaining('memory') }),
  );
});
