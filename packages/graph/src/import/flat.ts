import type { ModelProto } from 'onnx-buf';
import { changed } from '../changed.ts';
import { flowOf, graphOf } from '../flow.ts';
import { inferShapes } from '../shapes.ts';
import { statedDims, valueInfo } from '../value-info.ts';

/**
 * `model` that takes pictures where it took them flattened, [n, numbers], to give them their shape in a Reshape first.
 * Undefined for any other model.
 */
export function unflattened(model: ModelProto): { model: ModelProto; input: string } | undefined {
  const graph = graphOf(model);
  const [input = '', ...others] = flowOf(model).inputs;
  const stated = statedDims(graph.input.find(({ name }) => name === input)!);
  const takers = graph.node.filter((node) => node.input.includes(input));
  const [reshape] = takers;
  if (others.length > 0 || stated?.length !== 2 || typeof stated[1] !== 'number') return undefined;
  if (takers.length !== 1 || reshape?.opType !== 'Reshape' || reshape.input[0] !== input) return undefined;
  const batch = typeof stated[0] === 'number' ? stated[0] : 1;
  const [shaped] = reshape.output as [string];
  const dims = inferShapes(model, { inputs: { [input]: [batch, stated[1]] } }).get(shaped)?.dims;
  if (dims?.length !== 4 || dims[0] !== batch) return undefined;
  const node = graph.node
    .filter((old) => old !== reshape)
    .map((old) => changed(old, { input: old.input.map((name) => (name === shaped ? input : name)) }));
  const port = valueInfo(input, 'float32', [stated[0], ...dims.slice(1)]);
  const inputs = graph.input.map((old) => (old.name === input ? port : old));
  return { model: changed(model, { graph: changed(graph, { node, input: inputs }) }), input };
}
