/** Stems as other people's exporters write them. */
import { random, tensor } from '@tierwise/core';
import { GraphBuilder, type Value } from '@tierwise/graph';
import type { Digest } from '@tierwise/plan';
import { expect, test } from 'vitest';
import { runOnnx } from '../../test/networks.ts';
import { binaryEngine } from '../engine.ts';
import { compileBranch } from './branch.ts';

type Constant = (dims: readonly number[]) => Value;

const conv =
  (attributes: Record<string, number | readonly number[] | string>) =>
  (b: GraphBuilder, x: Value, w: Constant) =>
    b.op('Conv', [x, w([4, 3, 3, 3]), w([4])], { kernel_shape: [3, 3], ...attributes });

const stems: readonly (readonly [string, (b: GraphBuilder, x: Value, constant: Constant) => Value])[] = [
  ['more padding behind', conv({ strides: [2, 2], pads: [0, 0, 1, 1] })],
  ['more padding before', conv({ strides: [2, 2], pads: [2, 1, 0, 0] })],
  ['a row above, a column to the right', conv({ pads: [1, 0, 0, 1] })],
  ['padding for the same size, the rest behind', conv({ strides: [2, 2], auto_pad: 'SAME_UPPER' })],
  ['padding for the same size, the rest before', conv({ strides: [2, 3], auto_pad: 'SAME_LOWER' })],
  ['no padding by name', conv({ auto_pad: 'VALID' })],
  ['ReLU6', (b, x, w) => b.op('Clip', [conv({})(b, x, w), b.scalar(0), b.scalar(0.5)])],
  ['clipping from below', (b, x, w) => b.op('Clip', [conv({})(b, x, w), b.scalar(-0.25)])],
  [
    'clipping at both sides of 0',
    (b, x, w) => b.op('Clip', [conv({})(b, x, w), b.scalar(-0.5), b.scalar(0.75)]),
  ],
  ['clipping from above', (b, x, w) => b.op('Clip', [conv({})(b, x, w), '', b.scalar(0.1)])],
  ['LeakyRelu', (b, x, w) => b.op('LeakyRelu', [conv({})(b, x, w)], { alpha: { float: 0.1 } })],
  ['PRelu', (b, x, w) => b.op('PRelu', [conv({})(b, x, w), w([4, 1, 1])])],
  [
    'preprocessing in the graph',
    (b, x, w) => conv({ pads: [1, 1, 1, 1] })(b, b.sub(b.div(x, b.scalar(0.3)), w([3, 1, 1])), w),
  ],
  [
    'a pool of another order',
    (b, x, w) =>
      b.op('MaxPool', [b.op('LeakyRelu', [conv({})(b, x, w)])], { kernel_shape: [2, 2], strides: [2, 2] }),
  ],
];

test.each(stems)('%s gives what onnxruntime gives', async (_, write) => {
  const n = random(5);
  const draw = (dims: readonly number[]) =>
    tensor(
      'float32',
      dims,
      Float32Array.from({ length: dims.reduce((a, d) => a * d, 1) }, () => n.normal() / 2),
    );
  const b = new GraphBuilder('stem');
  const dims = [1, 3, 10, 9];
  let made = 0;
  const x = b.input('pixels', 'float32', dims);
  const y = write(b, x, (of) => b.initializer(`w${++made}`, draw(of)));
  b.output(y, 'float32', ['N', 4, 'h', 'w'], 'stem');
  const pixels = draw(dims);
  const expected = (await runOnnx({ model: b.model, pixels }, ['stem'])).get('stem')!;
  const loaded = await binaryEngine().load(compileBranch(b.model, { input: 'pixels', outputs: ['stem'] }), {
    id: 'stem',
    place: 'device',
    engine: 'binary',
    artifact: '0'.repeat(64) as Digest,
    inputs: [{ tensor: 'pixels', dims }],
    outputs: [{ tensor: 'stem', dims: [1] }],
    model: 'stem',
  });
  const found = (await loaded.run(new Map([['pixels', pixels]]))).get('stem')!;
  expect(found.dims).toEqual(expected.dims);
  for (const [i, value] of expected.data.entries())
    expect(Math.abs(Number(found.data[i]) - value)).toBeLessThan(1e-5);
});
