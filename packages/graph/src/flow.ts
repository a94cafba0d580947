import { TierwiseError } from '@tierwise/core';
import type { GraphProto, ModelProto, NodeProto } from 'onnx-buf';

/** The part of a graph that carries data from its inputs to its outputs. */
export interface Flow {
  /** Graph inputs that are not weights. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Nodes that depend on an input and that an output depends on, in the graph's order. */
  readonly nodes: readonly NodeProto[];
  /** Whether a tensor depends on an input; all others are weights or computed from weights. */
  depends(name: string): boolean;
}

/** The model's graph. @throws TierwiseError MODEL_CORRUPT when it has none */
export function graphOf(model: ModelProto): GraphProto {
  if (model.graph === undefined) throw new TierwiseError('MODEL_CORRUPT', 'the model holds no graph');
  return model.graph;
}

/** One pass forward for what depends on the inputs, one backward for what the outputs need. O(edges). */
export function flowOf(model: ModelProto): Flow {
  const graph = graphOf(model);
  const weights = new Set(graph.initializer.map(({ name }) => name));
  const inputs = graph.input.map(({ name }) => name).filter((name) => !weights.has(name));
  const outputs = graph.output.map(({ name }) => name);
  const dependent = new Set(inputs);
  const forward = graph.node.filter((node) => {
    const depends = node.input.some((name) => dependent.has(name));
    if (depends) for (const name of node.output) if (name !== '') dependent.add(name);
    return depends;
  });
  const needed = new Set(outputs);
  const nodes = forward.reverse().filter((node) => {
    const live = node.output.some((name) => needed.has(name));
    if (live) for (const name of node.input) needed.add(name);
    return live;
  });
  return { inputs, outputs, nodes: nodes.reverse(), depends: (name) => dependent.has(name) };
}
