import type { Tensor } from '@tierwise/core';
import type { ModelProto } from 'onnx-buf';
import { changed } from '../changed.ts';
import { extract } from '../cut.ts';
import { flowOf, graphOf } from '../flow.ts';
import { toTensorProto } from '../tensors.ts';

/**
 * The part of `model` that follows from its weights alone, as a model without inputs whose outputs the rest takes:
 * whoever can run it gives the results to `storeConstants`. Undefined when there is none.
 */
export function constantPart(model: ModelProto): ModelProto | undefined {
  const { nodes, depends } = flowOf(model);
  const stored = new Set(graphOf(model).initializer.map(({ name }) => name));
  const outputs = [...new Set(nodes.flatMap(({ input }) => input))].filter(
    (name) => name !== '' && !depends(name) && !stored.has(name),
  );
  return outputs.length === 0 ? undefined : extract(model, { inputs: [], outputs });
}

/** `model` with `values` as weights in place of the nodes that compute them, and nothing that no output needs. */
export function storeConstants(model: ModelProto, values: ReadonlyMap<string, Tensor>): ModelProto {
  const graph = graphOf(model);
  const { nodes } = flowOf(model);
  const used = new Set(nodes.flatMap(({ input }) => input));
  const weights = new Set(graph.initializer.map(({ name }) => name));
  const initializer = [
    ...graph.initializer,
    ...[...values].map(([name, value]) => toTensorProto(name, value)),
  ].filter(({ name }) => used.has(name));
  // Old versions list weights among the inputs, too; one that is gone must not be asked for.
  const input = graph.input.filter(({ name }) => !weights.has(name));
  return changed(model, { graph: changed(graph, { node: [...nodes], initializer, input }) });
}
