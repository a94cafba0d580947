import { type PreprocessSpec, type Tensor, TierwiseError, tensor } from '@tierwise/core';
import {
  extract,
  fromTensorProto,
  type GraphBuilder,
  type ModelProto,
  opset,
  readOnnx,
  toTensorProto,
  type Value,
  writeOnnx,
} from '@tierwise/graph';
import type { Weights } from '../layers/inference.ts';
import type { TrainingLayers } from '../layers/training.ts';
import type { Backbone } from './backbone.ts';

/**
 * Which inputs of an operator are trained where they are stored: weights, biases (older exporters write one as an Add)
 * and slopes. The averages of a batch norm are not: batches of somebody's few pictures would give worse ones, and with
 * them as they are, what is trained computes the same as what is deployed.
 */
const trained: Readonly<Record<string, readonly number[]>> = {
  Conv: [1, 2],
  Gemm: [0, 1, 2],
  MatMul: [0, 1],
  Add: [0, 1],
  BatchNormalization: [1, 2],
  PRelu: [1],
};

/** What a weight of the backbone is called in a training, so that it is told from those of the branch. */
const nameOf = (weight: string) => `main.${weight}`;

/**
 * Writes a backbone into another graph. `pixels` float32 [n, c, h, w], 0 to 255; gives its tensors `stem` and `scores`.
 * With `layers` that is a training step: the backbone has an open batch, and its weights become parameters that start as
 * they are.
 * @throws TierwiseError MODEL_UNSUPPORTED for a model to be trained of an opset older than the step's
 */
export function writeBackbone(
  b: GraphBuilder,
  layers: TrainingLayers | undefined,
  { model, ports, preprocess }: Backbone,
  pixels: Value,
): { readonly stem: Value; readonly scores: Value } {
  const piece = extract(model, { inputs: [ports.input], outputs: [ports.stem, ports.scores] });
  // A copy, because tensors are given other names.
  const { graph: copy, opsetImport } = readOnnx(writeOnnx(piece), 'the backbone');
  const graph = copy!;
  const version = opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')!.version;
  if (layers && version < opset)
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `a backbone of ONNX opset ${version} cannot be trained; bring it to ${opset}`,
    );
  b.model.opsetImport = opsetImport;

  const weights = new Set(
    graph.node.flatMap(({ opType, input }) => (trained[opType] ?? []).map((i) => input[i])),
  );
  const names = new Map([[ports.input, normalized(b, pixels, preprocess)]]);
  for (const proto of graph.initializer) {
    const value = fromTensorProto(proto);
    // One number alone is no bias but part of an activation, such as the 3 of a hard swish.
    if (layers && value.dtype === 'float32' && value.data.length > 1 && weights.has(proto.name)) {
      const name = nameOf(proto.name);
      names.set(proto.name, layers.trained(name, value as Tensor<'float32'>));
    } else {
      const name = b.fresh(nameOf(proto.name));
      names.set(proto.name, name);
      proto.name = name;
      b.graph.initializer.push(proto);
    }
  }
  for (const node of graph.node) {
    node.name = b.fresh(node.name || node.output[0]!);
    node.input = node.input.map((name) => names.get(name) ?? name);
    node.output = node.output.map((name) => {
      if (name !== '') names.set(name, b.fresh(nameOf(name)));
      return names.get(name) ?? name;
    });
    b.graph.node.push(node);
  }
  return { stem: names.get(ports.stem)!, scores: names.get(ports.scores)! };
}

/** (pixel * scale - mean) / std, as `preprocess` does it. */
function normalized(b: GraphBuilder, pixels: Value, { scale, mean, std }: PreprocessSpec): Value {
  const each = (values: readonly number[]) =>
    b.op('Constant', [], {
      value: { tensor: tensor('float32', [1, values.length, 1, 1], Float32Array.from(values)) },
    });
  return b.div(b.sub(b.mul(pixels, b.scalar(scale)), each(mean)), each(std));
}

/** Puts what a training has learnt in place of the weights of `model`, which is changed. */
export function takeWeights(model: ModelProto, learnt: Weights): void {
  const graph = model.graph!;
  graph.initializer = graph.initializer.map((proto) => {
    const values = learnt.get(nameOf(proto.name));
    if (values === undefined) return proto;
    return toTensorProto(proto.name, tensor('float32', proto.dims.map(Number), Float32Array.from(values)));
  });
}
