import { isTierwiseError, tensor } from '@tierwise/core';
import { describe, expect, test } from 'vitest';
import { light, loadModel, modelFolder, shapeOptions, trained } from '../test/models.ts';
import { GraphBuilder } from './builder.ts';
import { extract, split, summarize } from './index.ts';

describe.skipIf(!modelFolder)('published networks', () => {
  // Multiply-adds times two and parameters as the networks' papers and model zoos state them, 3 % for what
  // they leave out (biases, normalisation, activations).
  test.each([
    ['light_resnet50', 4.09e9 * 2, 25.56e6],
    ['light_bvlc_alexnet', 0.655e9 * 2, 60.97e6],
    ['light_squeezenet', 0.349e9 * 2, 1.2355e6],
  ])('%s has the operations and weights it is known for', (name, flops, parameters) => {
    const { totals } = summarize(loadModel(name));
    expect(Math.abs(totals.flops / flops - 1)).toBeLessThan(0.03);
    expect(Math.abs(totals.parameterBytes / (4 * parameters) - 1)).toBeLessThan(0.03);
  });

  test.each([...trained, ...light])(
    '%s: a tensor is listed as a cut exactly when it separates input and outputs',
    (name) => {
      const model = loadModel(name);
      const { tensors, cuts, inputs, outputs, totals } = summarize(model, shapeOptions(name));
      const ends = new Set([...inputs, ...outputs].map((end) => end.name));
      const separates = (tensor: string) => {
        try {
          extract(model, { inputs: [tensor], outputs: outputs.map((output) => output.name) });
          return true;
        } catch (error) {
          expect(isTierwiseError(error, 'TENSOR_INVALID')).toBe(true);
          return false;
        }
      };
      // Extraction infers shapes each time, so large models are sampled.
      const step = Math.ceil(tensors.length / 40);
      const sample = tensors.filter(({ name: tensor }, i) => i % step === 0 && !ends.has(tensor));
      const legal = new Set(cuts.map((cut) => cut.tensor));
      expect(sample.filter((t) => legal.has(t.name))).toEqual(sample.filter((t) => separates(t.name)));
      for (const cut of cuts) {
        expect(cut.flopsBefore + cut.flopsAfter).toBe(totals.flops);
        expect(cut.parameterBytesBefore + cut.parameterBytesAfter).toBe(totals.parameterBytes);
        expect(cut.bytes).toBe(tensors.find((t) => t.name === cut.tensor)!.bytes);
      }
    },
  );

  test('the pieces of a cut do the work that the cut promises', () => {
    const model = loadModel('resnet_2b');
    for (const cut of summarize(model).cuts) {
      const { head, tail } = split(model, [cut.tensor]);
      const [before, after] = [summarize(head).totals, summarize(tail).totals];
      expect(before).toEqual({ flops: cut.flopsBefore, parameterBytes: cut.parameterBytesBefore });
      expect(after).toEqual({ flops: cut.flopsAfter, parameterBytes: cut.parameterBytesAfter });
    }
  });

  test('a summary is plain JSON', () => {
    const summary = summarize(loadModel('mnist-cntk'));
    expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
  });
});

describe('operations of a node, by hand', () => {
  const flopsOf = (build: (b: GraphBuilder) => string): number => {
    const b = new GraphBuilder('one');
    b.output(build(b), 'float32', [], 'y');
    return summarize(b.model).nodes[0]!.flops;
  };
  const weight = (b: GraphBuilder, name: string, ...dims: number[]) =>
    b.initializer(
      name,
      tensor('float32', dims, new Float32Array(dims.reduce((count, dim) => count * dim, 1))),
    );
  const image = (b: GraphBuilder) => b.input('x', 'float32', ['N', 4, 6, 6]);

  test.each([
    // 8 x 4 x 4 outputs, each 4 x 3 x 3 products and sums, one bias
    [
      'Conv',
      8 * 16 * (2 * 36 + 1),
      (b: GraphBuilder) => b.op('Conv', [image(b), weight(b, 'w', 8, 4, 3, 3), weight(b, 'c', 8)]),
    ],
    [
      'grouped Conv',
      8 * 16 * 2 * 18,
      (b: GraphBuilder) => b.op('Conv', [image(b), weight(b, 'w', 8, 2, 3, 3)], { group: 2 }),
    ],
    // each of 4 x 6 x 6 inputs is spread over 5 x 2 x 2 outputs
    [
      'ConvTranspose',
      144 * 2 * 20,
      (b: GraphBuilder) => b.op('ConvTranspose', [image(b), weight(b, 'w', 4, 5, 2, 2)]),
    ],
    [
      'Gemm',
      2 * 3 * 5 + 5,
      (b: GraphBuilder) =>
        b.gemm(b.input('x', 'float32', ['N', 3]), weight(b, 'w', 3, 5), { c: weight(b, 'c', 5) }),
    ],
    [
      'MatMul',
      2 * 7 * 3 * 5,
      (b: GraphBuilder) => b.op('MatMul', [b.input('x', 'float32', ['N', 7, 3]), weight(b, 'w', 3, 5)]),
    ],
    [
      'MaxPool',
      4 * 9 * 4,
      (b: GraphBuilder) => b.op('MaxPool', [image(b)], { kernel_shape: [2, 2], strides: [2, 2] }),
    ],
    ['GlobalAveragePool', 144, (b: GraphBuilder) => b.op('GlobalAveragePool', [image(b)])],
    ['Relu', 144, (b: GraphBuilder) => b.relu(image(b))],
    ['Transpose', 0, (b: GraphBuilder) => b.transpose(image(b), [0, 2, 3, 1])],
    ['Add of whole numbers', 0, (b: GraphBuilder) => b.add(b.input('x', 'int64', [4]), b.ints(1))],
  ])('%s', (_, flops, build) => {
    expect(flopsOf(build)).toBe(flops);
  });

  test('weights made by nodes count, shared ones once, work on constants and for nothing does not', () => {
    const b = new GraphBuilder('shared');
    const x = b.input('x', 'float32', [1, 8]);
    const w = b.relu(weight(b, 'w', 8));
    const y = b.add(b.add(x, w), w);
    b.relu(y);
    b.output(y, 'float32', [1, 8], 'y');
    const summary = summarize(b.model);
    expect(summary.nodes.map(({ op, parameterBytes, flops }) => [op, parameterBytes, flops])).toEqual([
      ['Add', 32, 8],
      ['Add', 0, 8],
      ['Identity', 0, 0],
    ]);
    expect(summary.tensors.map((t) => t.name)).toEqual(['x', 'add', 'add_2', 'y']);
  });
});
