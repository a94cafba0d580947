import type { ModelProto, NodeProto } from 'onnx-buf';
import { TensorProto_DataType } from 'onnx-buf';
import { attrInt } from '../attributes.ts';
import { changed } from '../changed.ts';
import { flowOf, graphOf } from '../flow.ts';
import { inferShapes } from '../shapes.ts';
import { type OpenDim, statedDims, valueInfo } from '../value-info.ts';

/**
 * `model` that takes float32 pictures where it took them as other numbers, of which a Cast makes float32 first, or
 * flattened, [n, numbers], to give them their shape in a Reshape first. Any other model stays as it is.
 */
export function plainInput(model: ModelProto): { model: ModelProto; notes: string[] } {
  const notes: string[] = [];
  let now = model;
  const { inputs } = flowOf(model);
  const [input] = inputs;
  if (input === undefined || inputs.length > 1) return { model, notes };
  const cast = onlyTaker(now, input);
  if (cast?.opType === 'Cast' && attrInt(cast, 'to', 0) === TensorProto_DataType.FLOAT) {
    now = without(now, cast, input, dimsOf(now, input));
    notes.push(`input "${input}" was made float32 by ${cast.opType} "${cast.name}" and is float32 now`);
  }
  const reshape = onlyTaker(now, input);
  const shaped = reshape?.opType === 'Reshape' && shapedDims(now, input, reshape);
  if (shaped) {
    now = without(now, reshape, input, shaped);
    notes.push(`input "${input}" is a flattened picture and becomes a picture`);
  }
  return { model: now, notes };
}

const dimsOf = (model: ModelProto, input: string): readonly OpenDim[] | undefined =>
  statedDims(graphOf(model).input.find(({ name }) => name === input)!);

/** The node that takes `input` first, where no other takes it. */
function onlyTaker(model: ModelProto, input: string): NodeProto | undefined {
  const takers = graphOf(model).node.filter((node) => node.input.includes(input));
  return takers.length === 1 && takers[0]!.input[0] === input ? takers[0] : undefined;
}

/** The dims that a flat `input` is given by `reshape`, when they are those of pictures. */
function shapedDims(model: ModelProto, input: string, reshape: NodeProto): OpenDim[] | undefined {
  const [n, numbers, ...more] = dimsOf(model, input) ?? [];
  if (typeof numbers !== 'number' || more.length > 0) return undefined;
  const batch = typeof n === 'number' ? n : 1;
  const types = inferShapes(model, { inputs: { [input]: [batch, numbers] } });
  const { dims = [] } = types.get(reshape.output[0]!) ?? {};
  return dims.length === 4 && dims[0] === batch ? [n, ...dims.slice(1)] : undefined;
}

/** `model` without `first`: what took its output takes `input`, float32 of these dims. */
function without(
  model: ModelProto,
  first: NodeProto,
  input: string,
  dims: readonly OpenDim[] | undefined,
): ModelProto {
  const graph = graphOf(model);
  const [gone] = first.output;
  const node = graph.node
    .filter((old) => old !== first)
    .map((old) => changed(old, { input: old.input.map((name) => (name === gone ? input : name)) }));
  const port = dims && valueInfo(input, 'float32', dims);
  return changed(model, {
    graph: changed(graph, {
      node,
      input: graph.input.map((old) => (port && old.name === input ? port : old)),
    }),
  });
}
