import { create } from '@bufbuild/protobuf';
import { TierwiseError } from '@tierwise/core';
import {
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type ValueInfoProto,
} from 'onnx-buf';
import { nodeLabel } from './check.ts';
import { flowOf, graphOf } from './flow.ts';
import { openShapes } from './open-shapes.ts';
import type { ShapeOptions } from './shapes.ts';
import { valueInfo } from './value-info.ts';

/**
 * The piece of `model` that computes the tensors `outputs` from the tensors `inputs`, as a model of its own: the
 * nodes in between, the weights that they take, and inputs and outputs typed, with dimensions open that are open
 * in the model. An input that no output needs is kept. Nodes and weights are shared with `model`, so neither
 * may be changed afterwards.
 * @throws TierwiseError TENSOR_INVALID when a name is not a tensor of the model, is asked for and given at once,
 *   there is no output, or one depends on a graph input that is not among `inputs`; else as `inferShapes` does
 */
export function extract(
  model: ModelProto,
  piece: { readonly inputs: readonly string[]; readonly outputs: readonly string[] },
  options: ShapeOptions = {},
): ModelProto {
  const graph = graphOf(model);
  const types = openShapes(model, options);
  const given = new Set(piece.inputs);
  if (piece.outputs.length === 0) throw unfit('a piece needs an output', '');
  for (const name of [...piece.inputs, ...piece.outputs]) {
    if (!types.has(name)) throw unfit(`the model has no tensor "${name}" of a fixed rank`, name);
  }
  for (const name of piece.outputs) {
    if (given.has(name)) throw unfit(`tensor "${name}" is an input and an output of the piece`, name);
  }
  const { nodes, needed } = nodesBetween(graph, given, piece.outputs);
  const initializer = graph.initializer.filter(({ name }) => needed.has(name) && !given.has(name));
  const weights = new Set(initializer.map(({ name }) => name));
  for (const { name } of graph.input) {
    if (needed.has(name) && !given.has(name) && !weights.has(name)) {
      throw unfit(`${piece.outputs.join(', ')} also depends on the input "${name}"`, name);
    }
  }
  const stated = new Map([...graph.input, ...graph.output].map((info) => [info.name, info]));
  const port = (name: string): ValueInfoProto => {
    const { dtype, dims } = types.get(name)!;
    return stated.get(name) ?? valueInfo(name, dtype, dims);
  };
  const inner = new Set(nodes.flatMap((node) => node.output).filter((name) => !piece.outputs.includes(name)));
  const cut = create(GraphProtoSchema, {
    name: graph.name,
    docString: graph.docString,
    node: nodes,
    initializer,
    // Before IR version 4 every weight is listed among the inputs, too.
    input: [
      ...piece.inputs.map(port),
      ...graph.input.filter(({ name }) => weights.has(name) && !given.has(name)),
    ],
    output: piece.outputs.map(port),
    valueInfo: graph.valueInfo.filter(({ name }) => inner.has(name)),
  });
  // Own fields only, so that what the file leaves unset stays unset.
  return Object.assign(create(ModelProtoSchema), model, { graph: cut });
}

/**
 * The two pieces of `model` at `tensors`: `head` computes them from the model's inputs, `tail` the model's
 * outputs from them. An input of the model may be among `tensors`; the head, whose caller has it, does not give it.
 * @throws TierwiseError as `extract` does; TENSOR_INVALID when the outputs need more than `tensors`
 */
export function split(
  model: ModelProto,
  tensors: readonly string[],
  options: ShapeOptions = {},
): { head: ModelProto; tail: ModelProto } {
  const flow = flowOf(model);
  const computed = tensors.filter((name) => !flow.inputs.includes(name));
  const { needed } = nodesBetween(graphOf(model), new Set(), computed);
  const inputs = flow.inputs.filter((name) => needed.has(name));
  return {
    head: extract(model, { inputs, outputs: computed }, options),
    tail: extract(model, { inputs: tensors, outputs: flow.outputs }, options),
  };
}

/** Nodes that `outputs` need when `given` is there already, in the graph's order, and all names they touch. */
function nodesBetween(graph: GraphProto, given: ReadonlySet<string>, outputs: readonly string[]) {
  const needed = new Set(outputs);
  const nodes: NodeProto[] = [];
  for (const node of graph.node.toReversed()) {
    if (!node.output.some((name) => needed.has(name) && !given.has(name))) continue;
    const taken = node.output.find((name) => given.has(name));
    if (taken !== undefined) {
      throw unfit(`"${taken}" is given, but another output of ${nodeLabel(node)} is needed`, taken);
    }
    nodes.push(node);
    for (const name of node.input) if (name !== '') needed.add(name);
  }
  return { nodes: nodes.reverse(), needed };
}

function unfit(reason: string, tensor: string): TierwiseError {
  return new TierwiseError('TENSOR_INVALID', reason, { tensor });
}
