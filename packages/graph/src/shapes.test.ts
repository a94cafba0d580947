import { create } from '@bufbuild/protobuf';
import { ValueInfoProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { light, loadModel, modelFolder, sampleInputs, shapeOptions, trained } from '../test/models.ts';
import { runModel } from '../test/run.ts';
import { GraphBuilder } from './builder.ts';
import { inferShapes } from './shapes.ts';

describe.skipIf(!modelFolder)('every tensor of a model has the shape that ONNX Runtime gives it', () => {
  test.each([...trained, ...light])('%s', async (name) => {
    const model = loadModel(name);
    const graph = model.graph!;
    const inputs = sampleInputs(name);
    const shapes = inferShapes(model, {
      inputs: Object.fromEntries([...inputs].map(([input, { dims }]) => [input, dims])),
    });
    const made = graph.node.flatMap((node) => node.output).filter((output) => output !== '');
    graph.output = made.map((tensor) => create(ValueInfoProtoSchema, { name: tensor }));
    const real = await runModel(model, inputs);
    const describeAll = (types: ReadonlyMap<string, { dtype: string; dims: readonly number[] }>) =>
      made.map((tensor) => `${tensor}: ${types.get(tensor)?.dtype} [${types.get(tensor)?.dims}]`);
    expect(describeAll(shapes)).toEqual(describeAll(real));
  });

  test('a batch that the model leaves open is 1, or what is asked for', () => {
    const model = loadModel('lenet_4_8_32');
    expect(inferShapes(model).get('output')!.dims).toEqual([1, 10]);
    expect(inferShapes(model, { dims: { batch_size: 7 } }).get('output')!.dims).toEqual([7, 10]);
    expect(inferShapes(model, { inputs: { input: [3, 1, 28, 28] } }).get('output')!.dims).toEqual([3, 10]);
  });

  test('an open dimension beside the batch must be given', () => {
    const model = loadModel('ppocr_mobile_cls');
    expect(() => inferShapes(model)).toThrow(
      'input "x" has an open dimension 2 ("p2o.DynamicDimension.1"): give it a size',
    );
    expect(inferShapes(model, shapeOptions('ppocr_mobile_cls')).get('softmax_0.tmp_0')!.dims).toEqual([1, 2]);
  });

  test('a shape that the model contradicts is refused', () => {
    const model = loadModel('mnist-cntk');
    expect(() => inferShapes(model, { inputs: { Input3: [1, 3, 28, 28] } })).toThrow(
      expect.objectContaining({ code: 'TENSOR_INVALID' }),
    );
  });
});

test('an unknown operator is named', () => {
  const b = new GraphBuilder('odd');
  b.output(b.op('FrobnicateV2', [b.input('x', 'float32', [1])], {}, 'y'), 'float32', [1]);
  b.model.graph!.node[0]!.name = 'frob';
  expect(() => inferShapes(b.model)).toThrow(
    expect.objectContaining({
      code: 'MODEL_UNSUPPORTED',
      message: 'FrobnicateV2 "frob": the operator FrobnicateV2 is not supported',
    }),
  );
});

test('a shape that depends on the data is refused', () => {
  const b = new GraphBuilder('data');
  const shape = b.input('shape', 'int64', [2]);
  b.output(b.op('Reshape', [b.input('x', 'float32', [6]), shape], {}, 'y'), 'float32', [2, 3]);
  expect(() => inferShapes(b.model)).toThrow('the shape depends on the data in "shape"');
});
