import { tensor } from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { run, seeds, smooth } from '../../test/gradients.ts';
import { GraphBuilder } from '../builder.ts';
import { writeOnnx } from '../model.ts';
import { inferShapes } from '../shapes.ts';
import { differentiate } from './index.ts';
import { productsOnSmallMaps } from './small-maps.ts';

const pair = (arbitrary: fc.Arbitrary<number>) => fc.tuple(arbitrary, arbitrary);

test('convolutions on small maps and their gradients as products over the batch are what the operators give', () =>
  fc.assert(
    fc.asyncProperty(
      fc.record({
        n: fc.integer({ min: 1, max: 3 }),
        channels: fc.constantFrom(64, 65),
        filters: fc.constantFrom(64, 67),
        kernel: pair(fc.integer({ min: 1, max: 3 })),
        stride: fc.constantFrom(1, 1, 2),
        dilation: fc.constantFrom(1, 1, 2),
        pads: fc.tuple(...[0, 1, 2, 3].map(() => fc.nat(2))),
        size: pair(fc.integer({ min: 5, max: 6 })),
      }),
      seeds,
      async ({ n, channels, filters, kernel, stride, dilation, pads, size }, seed) => {
        const b = new GraphBuilder('small');
        const dims: Record<string, number[]> = {
          x: [n, channels, ...size],
          w: [filters, channels, ...kernel],
          bias: [filters],
        };
        for (const [name, of] of Object.entries(dims)) b.input(name, 'float32', of);
        const attributes = {
          kernel_shape: kernel,
          strides: [stride, stride],
          dilations: [dilation, dilation],
          pads,
        };
        const y = b.op('Conv', ['x', 'w', 'bias'], attributes);
        const shapes = inferShapes(b.model);
        const yDims = shapes.get(y)!.dims;
        const [, , oh, ow] = yDims as [number, number, number, number];
        fc.pre(oh * ow <= 36);
        dims['p'] = [...yDims];
        const loss = b.op('ReduceSum', [b.mul(y, b.input('p', 'float32', yDims))], { keepdims: 0 });
        const dx = differentiate(b, loss, ['x', 'w', 'bias']).get('x')!;
        productsOnSmallMaps(b, shapes);
        expect(b.graph.node.find(({ output }) => output[0] === y)!.opType).toBe('Transpose');

        // What the last window does not reach gets no gradient, but has a place in it.
        const left = [0, 1].map((axis) => {
          const span = ([oh, ow][axis]! - 1) * stride + (kernel[axis]! - 1) * dilation + 1;
          return size[axis]! + pads[axis]! + pads[axis + 2]! - span;
        });
        fc.pre(left.every((rest) => rest < Math.max(stride, dilation)));
        const wanted = [
          b.op('Conv', ['x', 'w', 'bias'], attributes),
          b.op('ConvTranspose', ['p', 'w'], { ...attributes, output_padding: left }),
        ];
        for (const [i, value] of [y, dx, ...wanted].entries())
          b.output(value, 'float32', i % 2 === 0 ? yDims : dims['x']!);
        const feeds = Object.entries(dims).map(([name, of], i) => [
          name,
          tensor('float32', of, smooth(seed + i, of) as Float32Array<ArrayBuffer>),
        ]);
        const found = await run(writeOnnx(b.model), Object.fromEntries(feeds), [y, dx, ...wanted]);
        for (const [i, name] of [y, dx].entries()) {
          const [given, expected] = [found(name), found(wanted[i]!)];
          expect(given.length).toBe(expected.length);
          // Sums of up to 9 * 67 products of normal numbers, in another order.
          for (const [at, value] of expected.entries())
            expect(Math.abs(given[at]! - value)).toBeLessThan(1e-3);
        }
      },
    ),
    { numRuns: 30 },
  ));
