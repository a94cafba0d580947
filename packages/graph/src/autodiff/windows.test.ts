import fc from 'fast-check';
import { describe, test } from 'vitest';
import { check, seeds, smooth, spaced } from '../../test/gradients.ts';

const side = fc.integer({ min: 1, max: 3 });
const size = fc.integer({ min: 7, max: 11 });
const autoPads = fc.constantFrom('NOTSET', 'NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID');

/**
 * Whether no window starts behind an input without padding. Where it would, ONNX drops it, but the shape inference inside
 * onnxruntime counts it, and refuses what follows.
 */
const reaches = (kernel: readonly number[], strides: readonly number[]) =>
  kernel.every((k, i) => k >= strides[i]!);

describe('gradients equal finite differences over random windows', () => {
  test('convolution with groups, dilation, uneven windows and auto_pad', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          n: side,
          groups: fc.integer({ min: 1, max: 4 }),
          // Inputs and outputs of a group; one input each is a depthwise convolution.
          inGroup: fc.constantFrom(1, 1, 2, 3),
          outGroup: fc.constantFrom(1, 1, 2, 3),
          kernel: fc.tuple(side, side),
          strides: fc.tuple(side, side),
          dilations: fc.tuple(fc.constantFrom(1, 1, 2, 3), fc.constantFrom(1, 1, 2)),
          pads: fc.tuple(...[0, 1, 2, 3].map(() => fc.nat(3))),
          autoPad: autoPads,
          h: size,
          w: size,
        }),
        seeds,
        async ({ n, groups, inGroup, outGroup, kernel, strides, dilations, pads, autoPad, h, w }, seed) => {
          // onnxruntime takes dilation together with SAME as an error.
          const spread = autoPad === 'NOTSET' ? dilations : [1, 1];
          const of = (dims: number[], s: number) => ({ dims, values: smooth(seed + s, dims) });
          await check(
            {
              inputs: {
                x: of([n, groups * inGroup, h, w], 0),
                w: of([groups * outGroup, inGroup, ...kernel], 1),
                bias: of([groups * outGroup], 2),
              },
              build: (b, v) =>
                b.op('Conv', [v['x']!, v['w']!, v['bias']!], {
                  kernel_shape: kernel,
                  strides,
                  dilations: spread,
                  group: groups,
                  ...(autoPad === 'NOTSET' ? { pads } : { auto_pad: autoPad }),
                }),
            },
            seed,
          );
        },
      ),
      { numRuns: 120 },
    ));

  test('convolution of an input with a border of its own', () =>
    fc.assert(
      fc.asyncProperty(
        fc.tuple(...[0, 1, 2, 3].map(() => fc.nat(2))),
        fc.constantFrom(1, 2),
        fc.nat(1),
        fc.boolean(),
        size,
        seeds,
        async ([top, left, bottom, right], s, pad, isShared, h, seed) => {
          const of = (dims: number[], i: number) => ({ dims, values: smooth(seed + i, dims) });
          await check(
            {
              inputs: { x: of([2, 3, h, h + 1], 0), w: of([4, 3, 3, 3], 1) },
              build(b, v) {
                const pads = b.ints(0, 0, top!, left!, 0, 0, bottom!, right!);
                const padded = b.op('Pad', [v['x']!, pads, b.scalar(-1)]);
                const how = { strides: [s, s], pads: [pad, pad, pad, pad] };
                const y = b.op('Conv', [padded, v['w']!], how);
                // What else reads the padded input sends its own gradient back through the Pad.
                return isShared ? b.mul(y, b.mean(padded, [0, 1, 2, 3])) : y;
              },
            },
            seed,
          );
        },
      ),
      { numRuns: 40 },
    ));

  test('the convolutions of MobileNetV2: depthwise 3x3 with stride 1 and 2, pointwise between', () =>
    fc.assert(
      fc.asyncProperty(
        side,
        fc.constantFrom(16, 24),
        fc.constantFrom(1, 2),
        size,
        seeds,
        async (n, c, s, h, seed) => {
          const of = (dims: number[], i: number) => ({ dims, values: smooth(seed + i, dims) });
          await check(
            {
              inputs: { x: of([n, c, h, h + 1], 0), w: of([c, 1, 3, 3], 1), p: of([4, c, 1, 1], 2) },
              build: (b, v) => {
                const y = b.op('Conv', [v['x']!, v['w']!], { strides: [s, s], pads: [1, 1, 1, 1], group: c });
                return b.op('Conv', [y, v['p']!]);
              },
            },
            seed,
          );
        },
      ),
      { numRuns: 12 },
    ));

  test('mean pooling: padding counted or not, windows apart and overlapping, global', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          n: side,
          c: side,
          kernel: fc.tuple(side, side),
          strides: fc.tuple(side, side),
          dilations: fc.tuple(fc.constantFrom(1, 1, 2), fc.constantFrom(1, 1, 2)),
          pad: fc.nat(2),
          withPads: fc.boolean(),
          ceil: fc.boolean(),
          autoPad: autoPads,
          h: size,
          w: size,
        }),
        seeds,
        async ({ n, c, kernel, strides, dilations, pad, withPads, ceil, autoPad, h, w }, seed) => {
          const dims = [n, c, h, w];
          const inputs = { x: { dims, values: smooth(seed, dims) } };
          const standsOver = ceil && !withPads && reaches(kernel, strides);
          const p = standsOver ? 0 : Math.min(pad, ...kernel.map((k) => k - 1));
          await check(
            {
              inputs,
              build: (b, v) =>
                b.op('AveragePool', [v['x']!], {
                  kernel_shape: kernel,
                  strides,
                  count_include_pad: withPads ? 1 : 0,
                  ...(autoPad === 'NOTSET' || !reaches(kernel, strides)
                    ? {
                        pads: [p, p, p, p],
                        dilations,
                        ceil_mode: standsOver ? 1 : 0,
                      }
                    : { auto_pad: autoPad }),
                }),
            },
            seed,
          );
          await check({ inputs, build: (b, v) => b.op('GlobalAveragePool', [v['x']!]) }, seed);
        },
      ),
      { numRuns: 80 },
    ));

  test('max pooling with ceil_mode, auto_pad and dilation', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          kernel: fc.tuple(side, side),
          strides: fc.tuple(side, side),
          dilations: fc.tuple(fc.constantFrom(1, 1, 2), fc.constantFrom(1, 1, 2)),
          ceil: fc.boolean(),
          autoPad: autoPads,
          h: size,
          w: size,
        }),
        seeds,
        async ({ kernel, strides, dilations, ceil, autoPad, h, w }, seed) => {
          const dims = [2, 2, h, w];
          await check(
            {
              inputs: { x: { dims, values: spaced(seed, dims) } },
              build: (b, v) =>
                b.op('MaxPool', [v['x']!], {
                  kernel_shape: kernel,
                  strides,
                  ...(autoPad === 'NOTSET'
                    ? { dilations, ceil_mode: ceil && reaches(kernel, strides) ? 1 : 0 }
                    : { auto_pad: autoPad }),
                }),
            },
            seed,
            { h: 1e-4, tolerance: 0.05 },
          );
        },
      ),
      { numRuns: 60 },
    ));
});
