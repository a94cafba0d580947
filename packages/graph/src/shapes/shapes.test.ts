import { create } from '@bufbuild/protobuf';
import { type DType, isTierwiseError, type Tensor, tensor, zeros } from '@tierwise/core';
import fc from 'fast-check';
import { ValueInfoProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { noise } from '../../test/models.ts';
import { runModel } from '../../test/run.ts';
import { type AttributeValue, GraphBuilder } from '../builder.ts';
import { inferShapes } from '../shapes.ts';
import { summarize } from '../summary.ts';

/** A graph input by its shape (float32 noise) or its tensor, a constant of the model, or nothing. */
type Argument = readonly number[] | Tensor | { readonly constant: Tensor } | '';

interface Case {
  readonly op: string;
  readonly inputs: readonly Argument[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly outputs?: number;
  readonly opset?: number;
}

const ints = (...values: number[]) => ({
  constant: tensor('int64', [values.length], BigInt64Array.from(values, BigInt)),
});
const int = (value: number) => ({ constant: tensor('int64', [], BigInt64Array.of(BigInt(value))) });
const floats = (...values: number[]) => ({
  constant: tensor('float32', [values.length], Float32Array.from(values)),
});
const float = (value: number) => ({ constant: tensor('float32', [], Float32Array.of(value)) });
const bools = (...dims: number[]) => empty('bool', dims);
const longs = (...dims: number[]) => empty('int64', dims);
const empty = (dtype: DType, dims: readonly number[]): Tensor =>
  tensor(
    dtype,
    dims,
    zeros(
      dtype,
      dims.reduce((count, dim) => count * dim, 1),
    ),
  );
const all = (ops: string, inputs: readonly Argument[], rest: Partial<Case> = {}): Case[] =>
  ops.split(' ').map((op) => ({ op, inputs, ...rest }));

const x = [2, 4, 9, 10];

const cases: readonly Case[] = [
  ...all(
    'Relu Sigmoid HardSigmoid HardSwish Tanh Exp Log Sqrt Neg Abs Sign Reciprocal Floor Ceil Round Erf',
    [x],
  ),
  ...all('Softmax LogSoftmax Identity LeakyRelu Elu Selu Softplus Softsign Sin Cos Mish', [x]),
  { op: 'Clip', inputs: [x, float(0), float(6)] },
  { op: 'PRelu', inputs: [x, [4, 1, 1]] },
  { op: 'LRN', inputs: [x], attributes: { size: 5 } },
  { op: 'InstanceNormalization', inputs: [x, [4], [4]] },
  // Broadcasting
  ...all('Add Sub Mul Div Pow Max Min Sum Mean', [x, [4, 1, 1]]),
  ...all('Add Mul', [
    [3, 1],
    [2, 1, 5],
  ]),
  ...all('Add Mul', [[], x]),
  ...all('Greater GreaterOrEqual Less LessOrEqual Equal', [x, []]),
  ...all('And Or Xor', [bools(3, 1), bools(1, 4)]),
  { op: 'Not', inputs: [bools(3)] },
  { op: 'Max', inputs: [[3, 1], [1, 4], []] },
  { op: 'Where', inputs: [bools(2, 1), [1, 3], []] },
  { op: 'Cast', inputs: [x], attributes: { to: 7 } },
  { op: 'Cast', inputs: [longs(3)], attributes: { to: 10 } },
  { op: 'Dropout', inputs: [x], outputs: 2 },
  { op: 'QuantizeLinear', inputs: [x, float(0.1)] },
  { op: 'QuantizeLinear', inputs: [x, float(0.1), empty('int8', [])] },
  { op: 'DequantizeLinear', inputs: [empty('uint8', x), float(0.1), empty('uint8', [])] },
  { op: 'DequantizeLinear', inputs: [empty('int32', [4]), floats(1, 2, 3, 4)], attributes: { axis: 0 } },
  // Windows
  { op: 'Conv', inputs: [x, [6, 4, 3, 3], [6]] },
  { op: 'Conv', inputs: [x, [6, 2, 3, 2]], attributes: { group: 2, strides: [2, 3], pads: [1, 0, 2, 1] } },
  { op: 'Conv', inputs: [x, [4, 1, 3, 3]], attributes: { group: 4, dilations: [2, 3], pads: [2, 2, 2, 2] } },
  { op: 'Conv', inputs: [x, [6, 4, 3, 3]], attributes: { auto_pad: 'SAME_UPPER', strides: [2, 2] } },
  { op: 'Conv', inputs: [x, [6, 4, 2, 2]], attributes: { auto_pad: 'SAME_LOWER', strides: [3, 2] } },
  { op: 'Conv', inputs: [x, [6, 4, 3, 3]], attributes: { auto_pad: 'VALID', strides: [2, 2] } },
  {
    op: 'Conv',
    inputs: [
      [2, 3, 17],
      [5, 3, 4],
    ],
    attributes: { strides: [2] },
  },
  { op: 'ConvTranspose', inputs: [x, [4, 5, 3, 3]] },
  {
    op: 'ConvTranspose',
    inputs: [x, [4, 3, 3, 2], [6]],
    attributes: { group: 2, strides: [2, 3], pads: [1, 0, 0, 1], output_padding: [1, 2], dilations: [2, 1] },
  },
  { op: 'ConvTranspose', inputs: [x, [4, 5, 3, 3]], attributes: { strides: [2, 2], output_shape: [18, 20] } },
  { op: 'ConvTranspose', inputs: [x, [4, 5, 3, 3]], attributes: { strides: [2, 2], auto_pad: 'SAME_UPPER' } },
  { op: 'MaxPool', inputs: [x], attributes: { kernel_shape: [2, 2], strides: [2, 2] }, outputs: 2 },
  { op: 'MaxPool', inputs: [x], attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 0, 0] } },
  { op: 'MaxPool', inputs: [x], attributes: { kernel_shape: [2, 2], dilations: [3, 2] } },
  {
    op: 'MaxPool',
    inputs: [x],
    attributes: { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_LOWER' },
  },
  { op: 'MaxPool', inputs: [x], attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 } },
  {
    op: 'MaxPool',
    inputs: [[1, 1, 5, 5]],
    attributes: { kernel_shape: [2, 2], strides: [3, 3], pads: [1, 1, 1, 1], ceil_mode: 1 },
  },
  { op: 'AveragePool', inputs: [x], attributes: { kernel_shape: [4, 3], strides: [3, 3], ceil_mode: 1 } },
  {
    op: 'AveragePool',
    inputs: [[1, 1, 2, 2]],
    attributes: { kernel_shape: [1, 1], strides: [2, 2], pads: [0, 0, 0, 0], ceil_mode: 1 },
  },
  { op: 'LpPool', inputs: [x], attributes: { kernel_shape: [3, 3] } },
  { op: 'MaxUnpool', inputs: [x, longs(...x)], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  {
    op: 'MaxUnpool',
    inputs: [x, longs(...x), ints(2, 4, 19, 21)],
    attributes: { kernel_shape: [2, 2], strides: [2, 2] },
  },
  ...all('GlobalAveragePool GlobalMaxPool', [x]),
  { op: 'BatchNormalization', inputs: [x, [4], [4], [4], [4]] },
  {
    op: 'BatchNormalization',
    inputs: [x, [4], [4], [4], [4]],
    attributes: { training_mode: 1 },
    outputs: 3,
  },
  { op: 'Resize', inputs: [x, '', floats(1, 1, 2, 1.7)] },
  { op: 'Resize', inputs: [x, '', '', ints(2, 4, 5, 7)], attributes: { mode: 'linear' } },
  { op: 'Resize', inputs: [x, '', floats(2, 0.5)], attributes: { axes: [2, 3] } },
  { op: 'Resize', inputs: [x, floats(1, 1, 2, 2)], opset: 10 },
  // Matrices and reductions
  {
    op: 'MatMul',
    inputs: [
      [3, 4],
      [4, 5],
    ],
  },
  {
    op: 'MatMul',
    inputs: [
      [2, 1, 3, 4],
      [6, 4, 5],
    ],
  },
  { op: 'MatMul', inputs: [[4], [2, 4, 5]] },
  { op: 'MatMul', inputs: [[2, 3, 4], [4]] },
  { op: 'MatMul', inputs: [[4], [4]] },
  { op: 'Gemm', inputs: [[3, 4], [4, 5], [5]] },
  {
    op: 'Gemm',
    inputs: [
      [4, 3],
      [5, 4],
      [3, 1],
    ],
    attributes: { transA: 1, transB: 1 },
  },
  ...all('ReduceSum ReduceMean ReduceMax ReduceMin ReduceSumSquare ReduceProd ReduceL1 ReduceL2', [x]),
  ...all('ReduceSum ReduceMean ReduceMax ReduceSumSquare', [x, ints(0, -1)]),
  ...all('ReduceSum ReduceMean ReduceMax ReduceSumSquare', [x, ints(2)], { attributes: { keepdims: 0 } }),
  { op: 'ReduceSum', inputs: [x], attributes: { noop_with_empty_axes: 1 } },
  { op: 'ReduceMean', inputs: [x], attributes: { axes: [1, 2], keepdims: 0 }, opset: 13 },
  ...all('ArgMax ArgMin', [x], { attributes: { axis: -1 } }),
  { op: 'ArgMax', inputs: [x], attributes: { axis: 1, keepdims: 0 } },
  // Layout
  { op: 'Reshape', inputs: [x, ints(0, -1, 5)] },
  {
    op: 'Reshape',
    inputs: [{ constant: empty('float32', [0, 4]) }, ints(4, 0)],
    attributes: { allowzero: 1 },
  },
  { op: 'Flatten', inputs: [x] },
  { op: 'Flatten', inputs: [x], attributes: { axis: 0 } },
  { op: 'Flatten', inputs: [x], attributes: { axis: -1 } },
  { op: 'Flatten', inputs: [x], attributes: { axis: 4 } },
  { op: 'Squeeze', inputs: [[1, 3, 1, 2]] },
  { op: 'Squeeze', inputs: [[1, 3, 1, 2], ints(-2)] },
  { op: 'Unsqueeze', inputs: [[3, 2], ints(0, -1)] },
  { op: 'Unsqueeze', inputs: [[3, 2]], attributes: { axes: [1] }, opset: 11 },
  { op: 'Transpose', inputs: [x] },
  { op: 'Transpose', inputs: [x], attributes: { perm: [1, 0, 3, 2] } },
  { op: 'Concat', inputs: [x, [2, 1, 9, 10]], attributes: { axis: 1 } },
  { op: 'Concat', inputs: [[3], [4]], attributes: { axis: -1 } },
  { op: 'Split', inputs: [x, ints(1, 3)], attributes: { axis: 1 }, outputs: 2 },
  { op: 'Split', inputs: [x], attributes: { axis: 2, num_outputs: 2 }, outputs: 2 },
  { op: 'Split', inputs: [x], attributes: { axis: 1 }, outputs: 2, opset: 13 },
  { op: 'Split', inputs: [x], attributes: { axis: 1, split: [3, 1] }, outputs: 2, opset: 11 },
  { op: 'Slice', inputs: [x, ints(1, -3), ints(2 ** 40, -1), ints(2, -1)] },
  { op: 'Slice', inputs: [x, ints(-1), ints(-(2 ** 40)), ints(3), ints(-2)] },
  { op: 'Slice', inputs: [x, ints(5, 0), ints(2, 4)] },
  { op: 'Slice', inputs: [x], attributes: { starts: [1], ends: [3], axes: [1] }, opset: 9 },
  { op: 'Pad', inputs: [x, ints(0, 0, 1, 2, 0, 0, 3, 4)] },
  { op: 'Pad', inputs: [x, ints(1, -2), '', ints(3)] },
  { op: 'Pad', inputs: [x], attributes: { pads: [0, 0, 1, 1, 0, 0, 1, 1] }, opset: 10 },
  { op: 'Expand', inputs: [[3, 1], ints(2, 1, 4)] },
  { op: 'Tile', inputs: [[2, 3], ints(2, 1)] },
  { op: 'Gather', inputs: [x, longs(2, 3)], attributes: { axis: 1 } },
  { op: 'Gather', inputs: [x, int(-1)], attributes: { axis: 2 } },
  { op: 'GatherElements', inputs: [[3, 4], longs(2, 4)] },
  { op: 'ScatterElements', inputs: [[3, 4], longs(1, 4), [1, 4]] },
  { op: 'ScatterElements', inputs: [[3, 4], longs(1, 4), [1, 4]], attributes: { reduction: 'add' } },
  { op: 'OneHot', inputs: [longs(5), int(7), floats(0, 1)] },
  { op: 'OneHot', inputs: [longs(5, 2), ints(7), floats(0, 1)], attributes: { axis: 0 } },
  { op: 'DepthToSpace', inputs: [x], attributes: { blocksize: 2 } },
  // Constants and shapes
  { op: 'Shape', inputs: [x] },
  { op: 'Shape', inputs: [x], attributes: { start: 1, end: -1 } },
  { op: 'Size', inputs: [x] },
  { op: 'ConstantOfShape', inputs: [ints(2, 3)] },
  { op: 'ConstantOfShape', inputs: [ints(2, 3)], attributes: { value: { tensor: ints(1).constant } } },
  { op: 'Range', inputs: [int(1), int(10), int(3)] },
  { op: 'Range', inputs: [float(1), float(-1), float(-0.3)] },
  { op: 'Constant', inputs: [], attributes: { value: { tensor: noise([2, 3]) } } },
  { op: 'Constant', inputs: [], attributes: { value_ints: [1, 2, 3] } },
  { op: 'Constant', inputs: [], attributes: { value_int: 1 } },
  { op: 'Constant', inputs: [], attributes: { value_float: { float: 0.5 } } },
];

const isTensor = (argument: object): argument is Tensor => 'dtype' in argument;

/** Builds the one-node graph of a case, outputs untyped so that ONNX Runtime says what they are. */
function build({ op, inputs, attributes = {}, outputs = 1, opset = 21 }: Case) {
  const b = new GraphBuilder('case');
  b.model.opsetImport[0]!.version = BigInt(opset);
  const feeds = new Map<string, Tensor>();
  const names = inputs.map((argument, i) => {
    if (argument === '') return '';
    if ('constant' in argument) return b.initializer(`c${i}`, argument.constant);
    const value = isTensor(argument) ? argument : noise(argument);
    feeds.set(`x${i}`, value);
    return b.input(`x${i}`, value.dtype, value.dims);
  });
  const made = b.opN(op, names, outputs, attributes);
  b.graph.output = made.map((name) => create(ValueInfoProtoSchema, { name }));
  return { model: b.model, feeds, made };
}

describe('an operator gives what ONNX Runtime gives', () => {
  const title = ({ op, inputs, attributes = {}, opset }: Case) => {
    const shape = (argument: Argument) =>
      argument === ''
        ? '-'
        : 'constant' in argument
          ? `(${argument.constant.data})`
          : `[${isTensor(argument) ? argument.dims : argument}]`;
    const settings = Object.entries(attributes).map(
      ([name, value]) =>
        ` ${name}=${JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? Number(v) : v))}`,
    );
    return `${op} ${inputs.map(shape).join(' ')}${settings.join('')}${opset ? ` opset ${opset}` : ''}`.slice(
      0,
      150,
    );
  };
  test.each(cases.map((c) => [title(c), c] as const))('%s', async (_, c) => {
    const { model, feeds, made } = build(c);
    const inferred = inferShapes(model);
    const real = await runModel(model, feeds);
    for (const name of made) {
      const { dtype, dims } = real.get(name)!;
      expect(inferred.get(name)).toEqual({ dtype, dims });
    }
  });
});

describe('what does not fit is refused with the node in the message', () => {
  const refused: readonly Case[] = [
    { op: 'Add', inputs: [[2, 3], [4]] },
    { op: 'Conv', inputs: [x, [6, 3, 3, 3]] },
    { op: 'Conv', inputs: [x, [6, 4, 11, 3]] },
    { op: 'Conv', inputs: [x, [6, 4, 3, 3]], attributes: { kernel_shape: [5, 5] } },
    { op: 'Conv', inputs: [x, [6, 4, 3, 3]], attributes: { strides: [0, 1] } },
    { op: 'Conv', inputs: [x, [6, 4, 3, 3]], attributes: { pads: [-1, 0, 0, 0] } },
    { op: 'Conv', inputs: [x, [6, 4, 3, 3]], attributes: { auto_pad: 'SOMEHOW' } },
    { op: 'Conv', inputs: [x] },
    {
      op: 'MatMul',
      inputs: [
        [3, 4],
        [3, 4],
      ],
    },
    {
      op: 'Gemm',
      inputs: [
        [3, 4],
        [3, 4],
      ],
    },
    { op: 'Reshape', inputs: [x, ints(7, -1)] },
    { op: 'Transpose', inputs: [x], attributes: { perm: [0, 1, 1, 2] } },
    { op: 'Concat', inputs: [x, [2, 4, 8, 10]], attributes: { axis: 1 } },
    { op: 'Split', inputs: [x, ints(1, 1)], attributes: { axis: 1 }, outputs: 2 },
    { op: 'Slice', inputs: [x, ints(0), ints(1), ints(0), ints(0)] },
    { op: 'Gather', inputs: [x, int(9)], attributes: { axis: 1 } },
    { op: 'Squeeze', inputs: [x, ints(0)] },
    { op: 'ReduceSum', inputs: [x, ints(4)] },
    { op: 'BatchNormalization', inputs: [x, [4], [3], [4], [4]] },
    { op: 'Expand', inputs: [[3], ints(2)] },
    { op: 'ConstantOfShape', inputs: [ints(2 ** 40, 2 ** 40)] },
    { op: 'Softmax', inputs: [x], attributes: {}, outputs: 2 },
  ];
  test.each(refused.map((c) => [c.op, c] as const))('%s', (op, c) => {
    expect(() => inferShapes(build(c).model)).toThrow(
      expect.objectContaining({ code: 'MODEL_CORRUPT', message: expect.stringContaining(`${op} "`) }),
    );
  });
});

test('whatever an operator is given, it has a shape or is refused by name', () => {
  const size = fc.oneof(fc.nat({ max: 5 }), fc.constantFrom(2 ** 20, 2 ** 40));
  const number = fc.oneof(fc.integer({ min: -3, max: 9 }), fc.constantFrom(-(2 ** 40), 2 ** 40, 2 ** 52));
  const numbers = fc.array(number, { maxLength: 5 });
  const argument: fc.Arbitrary<Argument> = fc.oneof(
    fc
      .array(size, { maxLength: 5 })
      .map((dims) => ({ dtype: 'float32' as const, dims, data: new Float32Array(0) })),
    numbers.map((values) => ints(...values)),
    number.map(int),
    fc.array(fc.float(), { maxLength: 5 }).map((values) => floats(...values)),
    fc.constant('' as const),
  );
  const names = [...new Set(cases.flatMap((c) => Object.keys(c.attributes ?? {})))].filter(
    (n) => n !== 'value',
  );
  const attribute = fc.oneof(number, numbers, fc.constantFrom('SAME_UPPER', 'VALID', 'linear'));
  const odd = fc.record({
    op: fc.constantFrom(...new Set(cases.map((c) => c.op))),
    inputs: fc.array(argument, { maxLength: 5 }),
    attributes: fc.dictionary(fc.constantFrom(...names), attribute, { maxKeys: 3 }),
    outputs: fc.integer({ min: 1, max: 3 }),
    opset: fc.constantFrom(1, 9, 13, 21),
  });
  let inferred = 0;
  fc.assert(
    fc.property(odd, (c) => {
      const { model, made } = build(c);
      try {
        const types = inferShapes(model);
        for (const name of made) expect(types.get(name)!.dims.every(Number.isSafeInteger)).toBe(true);
        expect(JSON.stringify(summarize(model))).not.toContain('null');
        inferred++;
      } catch (error) {
        if (!isTierwiseError(error)) throw error;
        expect(['MODEL_CORRUPT', 'MODEL_UNSUPPORTED', 'TENSOR_INVALID']).toContain(error.code);
      }
    }),
    { numRuns: 20_000 },
  );
  expect(inferred).toBeGreaterThan(1000);
});

test('shapes are computed through casts, arithmetic and choice', async () => {
  // The way exporters write "resize to twice the size" and "expand to a shape where -1 keeps".
  const b = new GraphBuilder('arithmetic');
  const data = b.input('x', 'float32', x);
  const size = b.slice(b.op('Shape', [data]), { starts: [2], ends: [4], axes: [0] });
  const doubled = b.op('Floor', [
    b.mul(b.op('Cast', [size], { to: 1 }), b.initializer('two', floats(2.5, 2).constant)),
  ]);
  const sizes = b.concat([b.ints(2, 4), b.op('Cast', [doubled], { to: 7 })], 0);
  const y = b.op('Resize', [data, '', '', sizes], {}, 'y');
  const wanted = b.ints(-1, 4, 1, 1);
  const keep = b.op('Equal', [
    wanted,
    b.op('ConstantOfShape', [b.ints(4)], { value: { tensor: ints(-1).constant } }),
  ]);
  const ones = b.op('ConstantOfShape', [b.op('Shape', [wanted])], { value: { tensor: ints(1).constant } });
  const z = b.op('Expand', [y, b.op('Where', [keep, ones, wanted])], {}, 'z');
  b.graph.output = [y, z].map((name) => create(ValueInfoProtoSchema, { name }));
  const inferred = inferShapes(b.model);
  const real = await runModel(b.model, new Map([['x', noise(x)]]));
  expect(inferred.get(y)!.dims).toEqual([2, 4, 22, 20]);
  expect([inferred.get(y)!.dims, inferred.get(z)!.dims]).toEqual([real.get(y)!.dims, real.get(z)!.dims]);
});
