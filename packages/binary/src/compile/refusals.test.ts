import { tensor } from '@tierwise/core';
import { GraphBuilder, type Value } from '@tierwise/graph';
import { expect, test } from 'vitest';
import { compileBranch } from './branch.ts';

const floats = (dims: readonly number[], value = 1) => {
  const length = dims.reduce((a, b) => a * b, 1);
  return tensor('float32', dims, new Float32Array(length).fill(value));
};

interface Start {
  readonly b: GraphBuilder;
  /** The input, [n, 2, 6, 6]. */
  readonly x: Value;
  readonly constant: (dims: readonly number[], value?: number) => Value;
}

/** Compiles what `write` makes of an input of shape [n, 2, 6, 6]. */
function compile(write: (start: Start) => Value): Uint8Array {
  const b = new GraphBuilder('test');
  let count = 0;
  const constant = (dims: readonly number[], value?: number) =>
    b.initializer(`w${++count}`, floats(dims, value));
  const output = write({ b, x: b.input('x', 'float32', ['N', 2, 6, 6]), constant });
  return compileBranch(b.model, { input: 'x', outputs: [output] });
}

const kernel = { kernel_shape: [3, 3] };

test.each<[string, (start: Start) => Value, string]>([
  [
    'an operator that a branch does not have',
    ({ b, x }) => b.op('Sigmoid', [x]),
    'Sigmoid "Sigmoid_sigmoid": is not',
  ],
  ['the sign of ONNX', ({ b, x }) => b.op('Sign', [x]), 'Where'],
  ['an average pool', ({ b, x }) => b.op('AveragePool', [x], kernel), 'AveragePool'],
  ['a product of two', ({ b, x }) => b.mul(x, x), 'one of the two inputs must be a constant'],
  ['one number an element', ({ b, x, constant }) => b.mul(x, constant([1, 2, 6, 6])), 'one number a channel'],
  ['one number a column', ({ b, x, constant }) => b.add(x, constant([6])), 'one number a channel'],
  ['a constant that is infinite', ({ b, x }) => b.mul(x, b.scalar(Infinity)), 'not finite'],
  [
    'binary activations with real weights',
    ({ b, x, constant }) => b.op('Conv', [b.sign(x), constant([4, 2, 3, 3], 0.5)], kernel),
    'expected weights of +1 and -1',
  ],
  [
    'binary activations padded with 0',
    ({ b, x, constant }) =>
      b.op('Conv', [b.sign(x), constant([4, 2, 3, 3])], { ...kernel, pads: [1, 1, 1, 1] }),
    'expected a Pad with -1',
  ],
  [
    'arithmetic on signs',
    ({ b, x, constant }) => b.mul(b.sign(x), constant([1, 2, 1, 1])),
    'expected Conv, Gemm or MatMul',
  ],
  ['the sign of a sign', ({ b, x }) => b.sign(b.sign(x)), 'sign of a sign'],
  [
    'a comparison with something else',
    ({ b, x }) => b.op('Where', [b.op('GreaterOrEqual', [x, b.scalar(1)]), b.scalar(1), b.scalar(-1)]),
    'comparison with 0',
  ],
  [
    'a choice of something else',
    ({ b, x }) => b.op('Where', [b.op('GreaterOrEqual', [x, b.scalar(0)]), b.scalar(2), b.scalar(-1)]),
    'expected Where(GreaterOrEqual(x, 0), 1, -1)',
  ],
  [
    'a comparison as the output',
    ({ b, x }) => b.op('GreaterOrEqual', [x, b.scalar(0)]),
    'cannot be an output',
  ],
  [
    'padding with 0',
    ({ b, x, constant }) =>
      b.op(
        'Conv',
        [b.op('Pad', [b.sign(x), b.ints(0, 0, 1, 1, 0, 0, 1, 1)]), constant([4, 2, 3, 3])],
        kernel,
      ),
    '-1 as padding',
  ],
  [
    'padding of one side',
    ({ b, x }) => b.op('Pad', [b.sign(x), b.ints(0, 0, 0, 0, 0, 0, 1, 1), b.scalar(-1)]),
    'equal padding at opposite sides',
  ],
  [
    'padding before a pool',
    ({ b, x }) =>
      b.op('MaxPool', [b.op('Pad', [b.sign(x), b.ints(0, 0, 1, 1, 0, 0, 1, 1), b.scalar(-1)])], kernel),
    'only a Conv',
  ],
  [
    'a convolution in groups',
    ({ b, x, constant }) => b.op('Conv', [x, constant([2, 1, 3, 3])], { ...kernel, group: 2 }),
    'expected one group',
  ],
  [
    'a dilated convolution',
    ({ b, x, constant }) => b.op('Conv', [x, constant([2, 2, 3, 3])], { ...kernel, dilations: [2, 2] }),
    'expected no dilation',
  ],
  [
    'unequal padding of a pool',
    ({ b, x }) => b.op('MaxPool', [x], { ...kernel, pads: [0, 0, 1, 1] }),
    'equal padding at opposite sides',
  ],
  [
    'unequal padding of signs',
    ({ b, x, constant }) =>
      b.op('Conv', [b.sign(x), constant([2, 2, 3, 3])], { ...kernel, pads: [0, 0, 1, 1] }),
    'equal padding at opposite sides',
  ],
  ['a division by what is computed', ({ b, x }) => b.div(x, x), 'one of the two inputs must be a constant'],
  ['a reciprocal', ({ b, x }) => b.div(b.scalar(1), x), 'expected a division by a constant'],
  [
    'a pool that rounds up',
    ({ b, x }) => b.op('MaxPool', [x], { ...kernel, strides: [2, 2], ceil_mode: 1 }),
    'padding in pads',
  ],
  [
    'weights that are computed',
    ({ b, x, constant }) => b.op('Conv', [x, b.relu(constant([2, 2, 3, 3]))], kernel),
    'input 1 must be a constant',
  ],
  ['another order', ({ b, x }) => b.transpose(x, [0, 2, 3, 1]), 'Transpose'],
  ['another layout', ({ b, x }) => b.reshape(x, [0, 4, 3, 6]), 'expected [1, c, h, w] or [1, c*h*w]'],
  [
    'a transposed product',
    ({ b, x, constant }) => b.op('Gemm', [b.op('Flatten', [x]), constant([72, 3])], { alpha: { float: 2 } }),
    'expected alpha 1',
  ],
  [
    'batch norm that trains',
    ({ b, x, constant }) =>
      b.opN('BatchNormalization', [x, constant([2]), constant([2]), constant([2]), constant([2])], 3, {
        training_mode: 1,
      })[0]!,
    'expected training_mode 0',
  ],
])('%s is refused with the node and the reason', (_, write, reason) => {
  expect(() => compile(write)).toThrow(
    expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining(reason) }),
  );
});

test('tensors that are not there, or not on the way, are named', () => {
  const b = new GraphBuilder('test');
  b.relu(b.input('x', 'float32', ['N', 2, 6, 6]), 'y');
  b.relu(b.input('other', 'float32', ['N', 2, 6, 6]), 'z');
  b.relu(b.input('fixed', 'float32', [8, 2, 6, 6]), 'eight');
  const compiled = (input: string, output: string) => () =>
    compileBranch(b.model, { input, outputs: [output] });
  const refusal = (text: string) =>
    expect.objectContaining({ code: 'MODEL_UNSUPPORTED', message: expect.stringContaining(text) });
  expect(compiled('x', 'nothing')).toThrow(refusal('"nothing"'));
  expect(compiled('nothing', 'y')).toThrow(refusal('"nothing"'));
  expect(compiled('x', 'z')).toThrow(refusal('does not depend on input "x"'));
  expect(compiled('fixed', 'eight')).toThrow(refusal('expected a batch of 1'));
});
