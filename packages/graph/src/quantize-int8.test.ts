import { create } from '@bufbuild/protobuf';
import { random, tensor } from '@tierwise/core';
import { ValueInfoProtoSchema } from 'onnx-buf';
import ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { GraphBuilder } from './builder.ts';
import { changed } from './changed.ts';
import { foldAffine } from './fold.ts';
import { writeOnnx } from './model.ts';
import { calibrationTensors, quantizeInt8, type Range } from './quantize-int8.ts';

const r = random(11);
const floats = (n: number, scale = 1) => Float32Array.from({ length: n }, () => r.normal() * scale);
const weight = (b: GraphBuilder, name: string, dims: number[], scale = 0.3) =>
  b.initializer(
    name,
    tensor(
      'float32',
      dims,
      floats(
        dims.reduce((a, d) => a * d, 1),
        scale,
      ),
    ),
  );
const positive = (b: GraphBuilder, name: string, dims: number[]) =>
  b.initializer(
    name,
    tensor(
      'float32',
      dims,
      floats(dims.reduce((a, d) => a * d, 1)).map((x) => Math.abs(x) + 0.5),
    ),
  );

/** Conv, pool, folded norm, ReLU, a residual pair and a dense layer: what the networks here are made of. */
function network() {
  const b = new GraphBuilder('small');
  const x = b.input('x', 'float32', ['N', 3, 12, 12]);
  const pooled = b.op(
    'MaxPool',
    [b.op('Conv', [x, weight(b, 'w1', [8, 3, 3, 3])], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })],
    { kernel_shape: [2, 2], strides: [2, 2] },
  );
  const stem = b.relu(b.add(b.mul(pooled, positive(b, 's1', [1, 8, 1, 1])), weight(b, 'b1', [1, 8, 1, 1])));
  const inner = b.op('Conv', [stem, weight(b, 'w2', [8, 8, 3, 3], 0.1), weight(b, 'c2', [8])], {
    kernel_shape: [3, 3],
    pads: [1, 1, 1, 1],
  });
  const y = b.relu(b.add(b.mul(inner, weight(b, 's2', [1, 8, 1, 1])), stem));
  const flat = b.op('Flatten', [b.op('GlobalAveragePool', [y])], { axis: 1 });
  const hidden = b.relu(
    b.add(
      b.mul(b.gemm(flat, weight(b, 'w3', [16, 8]), { transB: 1 }), weight(b, 's3', [1, 16])),
      weight(b, 'b3', [1, 16]),
    ),
  );
  b.output(
    b.gemm(hidden, weight(b, 'w4', [5, 16]), { transB: 1, c: weight(b, 'c4', [5]) }),
    'float32',
    ['N', 5],
    'scores',
  );
  return b.model;
}

async function run(model: Uint8Array, input: Float32Array, n: number) {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 4 });
  const outputs = await session.run({ x: new ort.Tensor('float32', input, [n, 3, 12, 12]) });
  await session.release();
  return outputs;
}

test('folding leaves fewer nodes and the same numbers', async () => {
  const model = network();
  const folded = foldAffine(model);
  const ops = (m: typeof model) => m.graph!.node.map((node) => node.opType);
  expect(ops(model).filter((op) => op === 'Mul').length).toBe(3);
  expect(ops(folded).filter((op) => op === 'Mul').length).toBe(0);
  // The Add of the residual pair is no bias and stays.
  expect(ops(folded).filter((op) => op === 'Add').length).toBe(1);
  const input = floats(4 * 432);
  const [a, b] = [await run(writeOnnx(model), input, 4), await run(writeOnnx(folded), input, 4)];
  const [p, q] = [a['scores']!.data as Float32Array, b['scores']!.data as Float32Array];
  for (let i = 0; i < p.length; i++) expect(Math.abs(p[i]! - q[i]!)).toBeLessThan(1e-4);
});

test('8 bits stay close to float32, and every layer is in 8 bits', async () => {
  const model = network();
  const names = calibrationTensors(model).filter((name) => name !== 'x' && name !== 'scores');
  const { graph } = foldAffine(model);
  const output = [...graph!.output, ...names.map((name) => create(ValueInfoProtoSchema, { name }))];
  const watched = changed(model, { graph: changed(graph!, { output }) });
  const input = floats(64 * 432);
  const seen = await run(writeOnnx(watched), input, 64);
  const ranges = new Map<string, Range>([['x', { lo: Math.min(...input), hi: Math.max(...input) }]]);
  for (const [name, value] of Object.entries(seen)) {
    const data = Array.from(value.data as Float32Array);
    ranges.set(name, { lo: Math.min(...data), hi: Math.max(...data) });
  }
  const quantized = quantizeInt8(model, ranges);
  expect(quantized.graph!.initializer.filter((i) => i.dataType === 3 && i.dims.length >= 2).length).toBe(4);
  const eight = await run(writeOnnx(quantized), input, 64);
  const [p, q] = [seen['scores']!.data as Float32Array, eight['scores']!.data as Float32Array];
  const spread = Math.sqrt(p.reduce((sum, v) => sum + v * v, 0) / p.length);
  const error = Math.sqrt(p.reduce((sum, v, i) => sum + (v - q[i]!) ** 2, 0) / p.length);
  expect(error / spread).toBeLessThan(0.05);
  expect(() => quantizeInt8(model, new Map())).toThrow(expect.objectContaining({ code: 'TENSOR_INVALID' }));
});
