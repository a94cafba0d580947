import { random, type Tensor, tensor } from '@tierwise/core';
import { GraphBuilder, type Value } from '@tierwise/graph';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runOnnx } from '../../test/networks.ts';
import { prepare } from '../fast/executor.ts';
import { readProgram } from '../file.ts';
import { kernelSource } from '../kernels/choose.ts';
import { runReference } from '../reference.ts';
import { programSummary } from '../summary.ts';
import { compileBranch } from './branch.ts';

interface Layer {
  readonly c: number;
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  /** Top, left, bottom, right. */
  readonly pads: readonly number[];
  /** Whether the weights are a cast of int8, as exports have them, or float32. */
  readonly cast: boolean;
  readonly bias: boolean;
}

const layers = fc
  .record({
    c: fc.integer({ min: 2, max: 40 }),
    size: fc.integer({ min: 1, max: 9 }),
    kernel: fc.constantFrom(1, 2, 3, 5),
    stride: fc.constantFrom(1, 2, 3),
    pads: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 4 }),
    cast: fc.boolean(),
    bias: fc.boolean(),
  })
  .filter(({ size, kernel, pads }) => size + Math.min(pads[0]! + pads[2]!, pads[1]! + pads[3]!) >= kernel);

/** Signs, a depthwise layer, batch norm and the input around it, signs again and a 1x1 layer. */
function network({ c, size, kernel, stride, pads, cast, bias }: Layer, seed: number) {
  const r = random(seed);
  const b = new GraphBuilder('depthwise');
  const floats = (name: string, dims: number[], value: () => number) =>
    b.initializer(
      name,
      tensor('float32', dims, Float32Array.from({ length: dims.reduce((a, d) => a * d, 1) }, value)),
    );
  const whole = Int8Array.from({ length: c * kernel * kernel }, () => r.below(255) - 127);
  const dims = [c, 1, kernel, kernel];
  const weights: Tensor = cast
    ? tensor('int8', dims, whole)
    : tensor('float32', dims, Float32Array.from(whole));
  const stored = b.initializer('w', weights);
  const w = cast ? b.op('Cast', [stored], { to: 1 }) : stored;
  const x = b.input('pixels', 'float32', ['N', c, size, size]);
  const inputs = [b.sign(x), w, ...(bias ? [floats('bias', [c], () => r.below(99) - 50)] : [])];
  const sums = b.op('Conv', inputs, {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [...pads],
    group: c,
  });
  const y = b.add(
    b.mul(
      sums,
      floats('scale', [1, c, 1, 1], () => r.normal() / 50),
    ),
    floats('shift', [1, c, 1, 1], () => r.normal()),
  );
  const bits = b.sign(y);
  const around = size === (size + pads[0]! + pads[2]! - kernel) / stride + 1 && pads[1] === pads[0];
  const sum = around && pads[3] === pads[2] ? b.add(y, x) : y;
  const last = b.op('Conv', [bits, floats('ones', [7, c, 1, 1], () => (r.below(2) ? 1 : -1))]);
  const names = [...new Set([sums, y, bits, sum, last])];
  for (const name of names) b.output(name, 'float32', ['n', 'c', 'h', 'w']);
  return { b, r, names };
}

test('sums, reals and bits of depthwise layers equal those of onnxruntime bit for bit', async () => {
  const source = await kernelSource();
  await fc.assert(
    fc.asyncProperty(layers, fc.nat(2 ** 31 - 1), async (layer, seed) => {
      const { b, r, names } = network(layer, seed);
      // What is an output is calculated there, so bits come from thresholds only where sums are not asked for.
      for (const outputs of [names, names.slice(2)]) {
        const loaded = readProgram(compileBranch(b.model, { input: 'pixels', outputs }));
        const data = Float32Array.from({ length: layer.c * layer.size ** 2 }, () => r.normal());
        const pixels = { dims: [1, layer.c, layer.size, layer.size], data };
        const expected = await runOnnx({ model: b.model, pixels }, outputs);
        const values = runReference(loaded, data);
        const executor = await prepare(loaded, source);
        executor.run(data);
        for (const [i, { tensor: name, value }] of loaded.program.outputs.entries()) {
          // + 0 makes -0 and 0 the same number, which they are.
          const wanted = Array.from(expected.get(name)!.data, (v) => v + 0);
          const isBits = loaded.values[value]!.kind === 'bits';
          const found = Array.from(values[value]!, (v) => (isBits ? 2 * v - 1 : v) + 0);
          expect(found, name).toEqual(wanted);
          expect(
            Array.from(executor.outputs[i]!, (v) => v + 0),
            name,
          ).toEqual(wanted);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('weights are stored in 8 bits, thresholds in 16 as far as sums can reach', () => {
  const layer = { c: 5, size: 6, kernel: 3, stride: 1, pads: [1, 1, 1, 1], cast: true, bias: false };
  const { b, names } = network(layer, 1);
  const loaded = readProgram(compileBranch(b.model, { input: 'pixels', outputs: [names[2]!] }));
  expect(loaded.program.ops.map(({ kind }) => kind)).toEqual(['binarize', 'depthwise', 'binarize']);
  expect(loaded.stored.map(({ name, dtype, dims }) => `${name} ${dtype} [${dims}]`).sort()).toEqual([
    '1.threshold float32 [5]',
    '2.weights int8 [5,3,3]',
    '3.flip uint8 [5]',
    '3.threshold int16 [5]',
  ]);
  expect(programSummary(loaded)).toMatchObject({ binaryMacs: 0, realMacs: 5 * 36 * 9 });
});

interface Start {
  readonly b: GraphBuilder;
  readonly x: Value;
  readonly constant: (dims: readonly number[], value?: number) => Value;
}

test.each<[string, (start: Start) => Value]>([
  ['reals', ({ b, x, constant }) => b.op('Conv', [x, constant([4, 1, 3, 3])], { group: 4 })],
  [
    'weights that are not whole',
    ({ b, x, constant }) => b.op('Conv', [b.sign(x), constant([4, 1, 3, 3], 0.5)], { group: 4 }),
  ],
  [
    'weights beyond 127',
    ({ b, x, constant }) => b.op('Conv', [b.sign(x), constant([4, 1, 3, 3], 128)], { group: 4 }),
  ],
  [
    'fewer groups than channels',
    ({ b, x, constant }) => b.op('Conv', [b.sign(x), constant([4, 2, 3, 3])], { group: 2 }),
  ],
  [
    'several filters for a channel',
    ({ b, x, constant }) => b.op('Conv', [b.sign(x), constant([8, 1, 3, 3])], { group: 4 }),
  ],
])('a convolution in groups with %s is refused with the node and what is expected', (_, write) => {
  const b = new GraphBuilder('test');
  const constant = (dims: readonly number[], value = 1) =>
    b.initializer(
      'w',
      tensor('float32', dims, new Float32Array(dims.reduce((a, d) => a * d, 1)).fill(value)),
    );
  const output = write({ b, x: b.input('x', 'float32', ['N', 4, 6, 6]), constant });
  expect(() => compileBranch(b.model, { input: 'x', outputs: [output] })).toThrow(
    expect.objectContaining({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(
        /^Conv ".+": is a convolution in groups; expected one group, or 4 filters in 4 groups/,
      ),
    }),
  );
});

test('a depthwise convolution padded with -1 is refused', () => {
  const b = new GraphBuilder('test');
  const w = b.initializer('w', tensor('float32', [4, 1, 3, 3], new Float32Array(36).fill(1)));
  const x = b.sign(b.input('x', 'float32', ['N', 4, 6, 6]));
  const padded = b.op('Pad', [x, b.ints(0, 0, 1, 1, 0, 0, 1, 1), b.scalar(-1)]);
  const output = b.op('Conv', [padded, w], { group: 4 });
  expect(() => compileBranch(b.model, { input: 'x', outputs: [output] })).toThrow(
    expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining('padded') }),
  );
});
