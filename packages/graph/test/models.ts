import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import { random, type Tensor, tensor } from '@tierwise/core';
import { TensorProtoSchema } from 'onnx-buf';
import { fromTensorProto, inferShapes, type ModelProto, readOnnx, type ShapeOptions } from '../src/index.ts';

/** The folder of shared models; undefined where they are not at hand, and tests that need them are skipped. */
export const modelFolder = process.env['TIERWISE_DATA'] && join(process.env['TIERWISE_DATA'], '../models');

/** Models with trained weights: their output depends on their input. */
export const trained = [
  'mnist-cntk',
  'lenet_4_8_32',
  'cifar_base_kw',
  'resnet_2b',
  'ultraface-RFB-320',
  'ppocr_mobile_cls',
];

/** Real architectures whose weights are made by ConstantOfShape. */
export const light = [
  'light_bvlc_alexnet',
  'light_squeezenet',
  'light_resnet50',
  'light_inception_v1',
  'light_shufflenet',
];

export function modelBytes(name: string): Uint8Array {
  return readFileSync(join(modelFolder!, name, `${name}.onnx`));
}

export function loadModel(name: string): ModelProto {
  return readOnnx(modelBytes(name), name);
}

/** Sizes for dimensions that a model leaves open beside the batch. */
export function shapeOptions(name: string): ShapeOptions {
  return name === 'ppocr_mobile_cls' ? { inputs: { x: [1, 3, 48, 192] } } : {};
}

/** The published input of a model where it has one, else seeded noise of the right shape. */
export function sampleInputs(name: string): Map<string, Tensor> {
  const model = loadModel(name);
  const weights = new Set(model.graph!.initializer.map((proto) => proto.name));
  const input = model.graph!.input.find((info) => !weights.has(info.name))!.name;
  const file = join(modelFolder!, name, 'test_data_set_0/input_0.pb');
  if (existsSync(file)) {
    return new Map([
      [input, fromTensorProto(fromBinary(TensorProtoSchema, new Uint8Array(readFileSync(file))))],
    ]);
  }
  const { dims } = inferShapes(model, shapeOptions(name)).get(input)!;
  return new Map([[input, noise(dims)]]);
}

/** float32 noise in [-1, 1). */
export function noise(dims: readonly number[], seed = 1): Tensor<'float32'> {
  const stream = random(seed, ...dims);
  const count = dims.reduce((product, dim) => product * dim, 1);
  return tensor(
    'float32',
    dims,
    Float32Array.from({ length: count }, () => 2 * stream.uniform() - 1),
  );
}
