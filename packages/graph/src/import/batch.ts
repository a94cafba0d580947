import { elementCount, isTierwiseError, TierwiseError, tensor } from '@tierwise/core';
import type { ModelProto, NodeProto } from 'onnx-buf';
import { attrInt, intAttribute } from '../attributes.ts';
import { changed } from '../changed.ts';
import { nodeLabel } from '../check.ts';
import { flowOf, graphOf } from '../flow.ts';
import { inferKnown, inferShapes } from '../shapes.ts';
import { toTensorProto } from '../tensors.ts';
import { type OpenDim, valueInfo } from '../value-info.ts';

/**
 * `model` with the first dimension of its input and outputs open, named "N": a Reshape that was exported for a batch of
 * one size keeps its input's batch instead, and a Flatten of a single picture its rows. `dims` are the input's, batch included, as the model was made for them.
 * @throws TierwiseError MODEL_UNSUPPORTED naming the first node whose result does not grow with the batch
 */
export function openBatch(model: ModelProto, input: string, dims: readonly number[]): ModelProto {
  const graph = graphOf(model);
  const batch = dims[0]!;
  const known = inferKnown(model, { inputs: { [input]: dims } });
  const { depends } = flowOf(model);
  const initializer = [...graph.initializer];
  const node = graph.node.map((old): NodeProto => {
    const [x = '', shape = ''] = old.input;
    // From axis 0 on a single picture flattens to one row; several would to one row, too.
    if (old.opType === 'Flatten' && depends(x) && batch === 1 && attrInt(old, 'axis', 1) === 0)
      return changed(old, { attribute: [intAttribute('axis', 1)] });
    const wanted = known.get(shape)?.values;
    if (old.opType !== 'Reshape' || !depends(x) || depends(shape) || wanted?.[0] !== batch) return old;
    if (known.get(x)!.dims[0] !== batch) return old;
    const name = `${old.output[0]}.shape`;
    const kept = BigInt64Array.from(wanted, (dim, i) => BigInt(i === 0 ? 0 : dim));
    initializer.push(toTensorProto(name, tensor('int64', [wanted.length], kept)));
    // With allowzero, which torch.export writes, a 0 would be a size.
    const attribute = old.attribute.filter((one) => one.name !== 'allowzero');
    return changed(old, { input: [x, name], attribute });
  });
  const port = (name: string, openDims: readonly OpenDim[]) => valueInfo(name, 'float32', openDims);
  const open = (name: string): OpenDim[] => ['N', ...known.get(name)!.dims.slice(1)];
  const opened = changed(model, {
    graph: changed(graph, {
      node,
      initializer,
      input: [
        port(input, ['N', ...dims.slice(1)]),
        ...graph.input.filter(
          ({ name }) => name !== input && initializer.some((proto) => proto.name === name),
        ),
      ],
      output: graph.output.map(({ name }) => port(name, open(name))),
      valueInfo: [],
    }),
  });
  checkBatches(opened, input, dims);
  return opened;
}

/** Every node must take any batch, and give results that grow with it. */
function checkBatches(model: ModelProto, input: string, dims: readonly number[]): void {
  const graph = graphOf(model);
  const [batch, ...sample] = dims as [number, ...number[]];
  const fail = (node: NodeProto): never => {
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `${nodeLabel(node)}: it works for a batch of ${batch} only; export the network with an open batch dimension`,
      { node: node.name, op: node.opType },
    );
  };
  const at = (size: number, nodes: number) => {
    const first = changed(graph, { node: graph.node.slice(0, nodes), output: [] });
    return inferShapes(changed(model, { graph: first }), { inputs: { [input]: [size, ...sample] } });
  };
  const fits = (nodes: number): boolean => {
    try {
      at(batch + 1, nodes);
      return true;
    } catch (error) {
      if (!isTierwiseError(error)) throw error;
      return false;
    }
  };
  if (!fits(graph.node.length)) fail(graph.node.find((_, i) => !fits(i + 1))!);
  const [one, two] = [at(batch + 1, graph.node.length), at(batch + 2, graph.node.length)];
  for (const node of flowOf(model).nodes) {
    const [name = ''] = node.output;
    // Whole numbers are shapes on their way to a Reshape.
    const grows =
      elementCount(two.get(name)!.dims) * (batch + 1) === elementCount(one.get(name)!.dims) * (batch + 2);
    if (!grows && one.get(name)!.dtype === 'float32') fail(node);
  }
}
