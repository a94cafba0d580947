import { type Tensor, tensor } from '@tierwise/core';
import type { ModelProto, NodeProto } from 'onnx-buf';
import { attrInt } from './attributes.ts';
import { changed } from './changed.ts';
import { fromTensorProto, toTensorProto } from './tensors.ts';

/**
 * `model` with every multiplication and addition of one number per channel that follows a convolution or dense
 * layer folded into its weights and bias: Conv -> Mul -> Add becomes Conv. A max pool in between may stay where
 * it is when the factors are positive. Inference graphs with folded batch norm run fewer nodes so; results change by
 * float32 rounding. The given model is not changed, but shares what did not change.
 */
export function foldAffine(model: ModelProto): ModelProto {
  const graph = model.graph!;
  const nodes = [...graph.node];
  const initializers = new Map(graph.initializer.map((proto) => [proto.name, proto]));
  const constant = (name: string | undefined): Tensor | undefined => {
    const proto = name === undefined ? undefined : initializers.get(name);
    return proto && fromTensorProto(proto);
  };
  const outputs = new Set(graph.output.map(({ name }) => name));
  const only = (name: string): NodeProto | undefined => {
    const takers = nodes.filter((node) => node.input.includes(name));
    return takers.length === 1 && !outputs.has(name) ? takers[0] : undefined;
  };

  for (const node of graph.node) {
    if (node.opType !== 'Conv' && !(node.opType === 'Gemm' && attrInt(node, 'transB', 0) === 1)) continue;
    let at = nodes.findIndex((n) => n.output[0] === node.output[0]);
    while (at >= 0) {
      const layer = nodes[at]!;
      const weights = constant(layer.input[1]);
      if (weights?.dtype !== 'float32') break;
      const filters = weights.dims[0]!;
      let next = only(layer.output[0]!);
      const pool = next?.opType === 'MaxPool' && next.output.length === 1 ? next : undefined;
      if (pool) next = only(pool.output[0]!);
      if (next?.opType !== 'Mul' && next?.opType !== 'Add') break;
      const from = (pool ?? layer).output[0]!;
      const numbers = constant(next.input.find((name) => name !== from));
      if (
        numbers?.dtype !== 'float32' ||
        numbers.data.length !== filters ||
        !perChannel(numbers.dims, filters)
      )
        break;
      const factors = numbers.data as Float32Array;
      if (pool && next.opType === 'Mul' && factors.some((f) => !(f > 0))) break;
      const bias = (constant(layer.input[2])?.data as Float32Array | undefined) ?? new Float32Array(filters);
      const taps = weights.data.length / filters;
      const folded =
        next.opType === 'Mul'
          ? {
              weights: (weights.data as Float32Array).map((w, i) => w * factors[Math.floor(i / taps)]!),
              bias: bias.map((b, k) => b * factors[k]!),
            }
          : { weights: weights.data as Float32Array, bias: bias.map((b, k) => b + factors[k]!) };
      const names = { weights: `${next.output[0]}.weights`, bias: `${next.output[0]}.bias` };
      initializers.set(
        names.weights,
        toTensorProto(names.weights, tensor('float32', weights.dims, Float32Array.from(folded.weights))),
      );
      initializers.set(
        names.bias,
        toTensorProto(names.bias, tensor('float32', [filters], Float32Array.from(folded.bias))),
      );
      const output = pool ? layer.output : next.output;
      nodes[at] = changed(layer, {
        input: [layer.input[0]!, names.weights, names.bias],
        output,
      });
      if (pool) nodes[nodes.indexOf(pool)] = changed(pool, { output: next.output });
      nodes.splice(nodes.indexOf(next), 1);
      at = nodes.findIndex((n) => n.output[0] === output[0]);
    }
  }
  const used = new Set([...nodes.flatMap((node) => node.input), ...outputs]);
  const folded = changed(graph, {
    node: nodes,
    initializer: [...initializers.values()].filter(({ name }) => used.has(name)),
  });
  return changed(model, { graph: folded });
}

/** [c], [c, 1, 1], [1, c], [1, c, 1, 1]: one number for each channel of [n, c] or [n, c, h, w]. */
function perChannel(dims: readonly number[], channels: number): boolean {
  const axis = dims.indexOf(channels);
  return (
    axis >= 0 &&
    dims.every((dim, i) => i === axis || dim === 1) &&
    (dims.length === 1 || axis === dims.length - 3 || (dims.length === 2 && axis === 1))
  );
}
