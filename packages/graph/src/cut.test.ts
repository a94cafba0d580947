import { type Tensor, tensor } from '@tierwise/core';
import { describe, expect, test } from 'vitest';
import { light, loadModel, modelFolder, noise, sampleInputs, shapeOptions, trained } from '../test/models.ts';
import { runModel } from '../test/run.ts';
import { GraphBuilder } from './builder.ts';
import {
  extract,
  findStem,
  flowOf,
  type ModelProto,
  readOnnx,
  split,
  summarize,
  writeOnnx,
} from './index.ts';
import { statedDims } from './value-info.ts';

/** Runs the head of a split and feeds what it gives to the tail. */
async function runSplit(model: ModelProto, tensors: readonly string[], inputs: ReadonlyMap<string, Tensor>) {
  const { head, tail } = split(model, tensors);
  for (const piece of [head, tail]) readOnnx(writeOnnx(piece), 'piece');
  return runModel(tail, await runModel(head, inputs));
}

/** Same shape, and no element further off than 1e-5 of the largest: both run the same kernels on the same data. */
function expectClose(actual: Tensor, expected: Tensor) {
  expect(actual.dims).toEqual(expected.dims);
  const [a, b] = [actual.data as Float32Array, expected.data as Float32Array];
  const largest = b.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const worst = b.reduce((max, value, i) => Math.max(max, Math.abs(value - a[i]!)), 0);
  expect(worst).toBeLessThanOrEqual(1e-5 * largest);
}

describe.skipIf(!modelFolder)('the pieces of a model give what the whole gives', () => {
  test.each(trained)('%s, at every legal cut', async (name) => {
    const model = loadModel(name);
    const inputs = sampleInputs(name);
    const whole = await runModel(model, inputs);
    const { cuts } = summarize(model, shapeOptions(name));
    expect(cuts.length).toBeGreaterThan(5);
    for (const { tensor } of cuts) {
      const result = await runSplit(model, [tensor], inputs);
      for (const [output, expected] of whole) expectClose(result.get(output)!, expected);
    }
  });

  test.each(['resnet_2b', 'ultraface-RFB-320'])('%s, across several tensors', async (name) => {
    const model = loadModel(name);
    const inputs = sampleInputs(name);
    const whole = await runModel(model, inputs);
    const { nodes, outputs } = flowOf(model);
    let checked = 0;
    for (let at = 2; at < nodes.length; at += Math.ceil(nodes.length / 20)) {
      const used = new Set(nodes.slice(at).flatMap((node) => node.input));
      const frontier = nodes.slice(0, at).flatMap((node) => node.output.filter((tensor) => used.has(tensor)));
      if (
        frontier.length < 2 ||
        nodes.slice(0, at).some((node) => node.output.some((t) => outputs.includes(t)))
      ) {
        continue;
      }
      const result = await runSplit(model, frontier, inputs);
      for (const [output, expected] of whole) expectClose(result.get(output)!, expected);
      checked++;
    }
    expect(checked).toBeGreaterThan(0);
  });

  test.each(light)('%s, split at its stem, gives pieces that run', async (name) => {
    const model = loadModel(name);
    const result = await runSplit(model, [findStem(model)], sampleInputs(name));
    const { outputs } = summarize(model);
    expect([...result].map(([output, { dims }]) => [output, dims])).toEqual(
      outputs.map((output) => [output.name, output.dims]),
    );
  });

  test('a batch that is open in the model is open in its pieces', async () => {
    const model = loadModel('lenet_4_8_32');
    const stem = findStem(model);
    const { head, tail } = split(model, [stem]);
    expect(statedDims(head.graph!.output[0]!)).toEqual(['batch_size', 4, 12, 12]);
    expect(statedDims(tail.graph!.input[0]!)).toEqual(['batch_size', 4, 12, 12]);
    const inputs = new Map([['input', noise([3, 1, 28, 28])]]);
    const whole = await runModel(model, inputs);
    expectClose((await runModel(tail, await runModel(head, inputs))).get('output')!, whole.get('output')!);
  });

  test('sizes beside the batch stay open, too, with the name of the input where they are equal to it', () => {
    const model = loadModel('ppocr_mobile_cls');
    const { head } = split(model, [findStem(model, shapeOptions('ppocr_mobile_cls'))]);
    expect(statedDims(head.graph!.output[0]!)).toEqual(['p2o.DynamicDimension.0', 8, undefined, undefined]);
  });

  test('a piece holds only the weights that it needs', () => {
    const model = loadModel('resnet_2b');
    const { head, tail } = split(model, [findStem(model)]);
    const names = (piece: ModelProto) => piece.graph!.initializer.map((proto) => proto.name);
    expect(names(head)).toEqual(['conv1.weight', 'conv1.bias']);
    expect([...names(head), ...names(tail)].sort()).toEqual(names(model).sort());
  });
});

describe.skipIf(!modelFolder)('the stem is the end of the first stage', () => {
  test.each([
    ['mnist-cntk', 'Pooling66_Output_0'],
    ['lenet_4_8_32', '/AveragePool_output_0'],
    ['cifar_base_kw', '10'],
    ['resnet_2b', '18'],
    ['ppocr_mobile_cls', 'hardswish_0.tmp_0'],
    ['light_bvlc_alexnet', 'r3'],
    ['light_resnet50', 'r3'],
  ])('of %s', (name, stem) => {
    expect(findStem(loadModel(name), shapeOptions(name))).toBe(stem);
  });

  test('a network without a convolution has none', () => {
    const b = new GraphBuilder('dense');
    b.output(b.relu(b.input('x', 'float32', [1, 4])), 'float32', [1, 4], 'y');
    expect(() => findStem(b.model)).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
  });
});

describe('what cannot be cut out is refused', () => {
  /** u = x + 1, v = u * k, w = v - k, with k an input of its own. */
  const b = new GraphBuilder('two inputs');
  const x = b.input('x', 'float32', ['N', 4]);
  const k = b.input('k', 'float32', ['N', 4]);
  const u = b.add(x, b.initializer('one', tensor('float32', [], Float32Array.of(1))), 'u');
  const v = b.mul(u, k, 'v');
  b.output(b.sub(v, k, 'w'), 'float32', ['N', 4]);
  const invalid = (message: string) => expect.objectContaining({ code: 'TENSOR_INVALID', message });

  test('an output that needs an input which is not given', () => {
    expect(() => extract(b.model, { inputs: ['u'], outputs: ['w'] })).toThrow(
      invalid('w also depends on the input "k"'),
    );
    expect(() => split(b.model, ['u'])).toThrow(invalid('w also depends on the input "k"'));
  });

  test('a tensor that is not there, or is asked for and given', () => {
    expect(() => extract(b.model, { inputs: ['x'], outputs: ['nowhere'] })).toThrow(
      invalid('the model has no tensor "nowhere" of a fixed rank'),
    );
    expect(() => split(b.model, ['x'])).toThrow(invalid('a piece needs an output'));
    expect(() => extract(b.model, { inputs: ['u'], outputs: ['u'] })).toThrow(
      invalid('tensor "u" is an input and an output of the piece'),
    );
  });

  test('an input that no output needs is kept, for the caller feeds it', async () => {
    const piece = extract(b.model, { inputs: ['u', 'k', 'x'], outputs: ['v'] });
    expect(piece.graph!.input.map((info) => info.name)).toEqual(['u', 'k', 'x']);
    const ones = tensor('float32', [2, 4], new Float32Array(8).fill(3));
    const result = await runModel(piece, new Map(['u', 'k', 'x'].map((name) => [name, ones])));
    expect([...result.get('v')!.data]).toEqual(new Array(8).fill(9));
  });

  test('an input of the model may cross the cut beside what the head computes', () => {
    const { head, tail } = split(b.model, ['u', 'k']);
    const ports = (piece: ModelProto) =>
      [piece.graph!.input, piece.graph!.output].map((infos) => infos.map((info) => info.name).join());
    expect([ports(head), ports(tail)]).toEqual([
      ['x', 'u'],
      ['u,k', 'w'],
    ]);
  });

  test('the model is left as it was', () => {
    const before = writeOnnx(b.model);
    split(b.model, ['v', 'k']);
    expect(writeOnnx(b.model)).toEqual(before);
  });
});
