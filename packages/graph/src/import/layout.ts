import { create } from '@bufbuild/protobuf';
import { type Tensor, tensor } from '@tierwise/core';
import { type ModelProto, type NodeProto, NodeProtoSchema } from 'onnx-buf';
import { attrInts, intsAttribute } from '../attributes.ts';
import { changed } from '../changed.ts';
import { flowOf, graphOf } from '../flow.ts';
import { fromTensorProto, toTensorProto } from '../tensors.ts';
import { statedDims, valueInfo } from '../value-info.ts';

const toLast = [0, 2, 3, 1];

/** Work on each element alone: it does not matter whether it is done before or after a Transpose. */
const unary = new Set(
  'Relu LeakyRelu Elu Selu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Clip Identity Dropout'.split(
    ' ',
  ),
);
const binary = new Set(['Add', 'Sub', 'Mul', 'Div']);

/**
 * `model` with its picture NCHW instead of NHWC: the input is transposed at once, and a Transpose that another one
 * undoes, across elementwise work with constants and padding, is taken out with it. So an export that thinks in NHWC
 * loses the pairs that it put around its convolutions.
 */
export function channelsFirst(model: ModelProto, input: string): ModelProto {
  const graph = graphOf(model);
  const info = graph.input.find(({ name }) => name === input)!;
  const [n, h, w, c] = statedDims(info)!;
  const turned = `${input}.nhwc`;
  const node = [
    transpose(input, turned, toLast),
    ...graph.node.map((old) =>
      changed(old, { input: old.input.map((name) => (name === input ? turned : name)) }),
    ),
  ];
  return changed(model, {
    graph: changed(graph, {
      node,
      input: graph.input.map((old) => (old === info ? valueInfo(input, 'float32', [n, c, h, w]) : old)),
    }),
  });
}

const transpose = (x: string, y: string, perm: readonly number[]): NodeProto =>
  create(NodeProtoSchema, {
    opType: 'Transpose',
    name: `Transpose_${y}`,
    input: [x],
    output: [y],
    attribute: [intsAttribute('perm', perm)],
  });

/** `model` without the Transposes that undo each other. */
export function cancelTransposes(model: ModelProto): ModelProto {
  const graph = graphOf(model);
  const initializers = new Map(graph.initializer.map((proto) => [proto.name, proto]));
  const { depends } = flowOf(model);
  const outputs = new Set(graph.output.map(({ name }) => name));
  let nodes = [...graph.node];
  for (const { opType, output } of graph.node) {
    const first = nodes.find((node) => node.output[0] === output[0]);
    if (opType !== 'Transpose' || first === undefined) continue;
    const perm = attrInts(first, 'perm');
    if (perm === undefined || !depends(first.input[0]!)) continue;
    const run = runBetween(first, perm, nodes, outputs, (name) => {
      const proto = initializers.get(name);
      return proto && fromTensorProto(proto);
    });
    if (run === undefined) continue;
    for (const { name, value } of run.constants) initializers.set(name, toTensorProto(name, value));
    const [start] = first.input as [string];
    const renamed = new Map([
      [first.output[0]!, start],
      [run.last.output[0]!, run.nodes.at(-1)?.output[0] ?? start],
    ]);
    const inRun = new Map(run.nodes.map((node) => [node.output[0]!, node]));
    nodes = nodes
      .filter((node) => node !== first && node.output[0] !== run.last.output[0])
      .map((node) => inRun.get(node.output[0] ?? '') ?? node)
      .map((node) => changed(node, { input: node.input.map((name) => renamed.get(name) ?? name) }));
  }
  return changed(model, { graph: changed(graph, { node: nodes, initializer: [...initializers.values()] }) });
}

/** The nodes after `first`, rewritten for the layout before it, up to the Transpose `last` that undoes it. */
function runBetween(
  first: NodeProto,
  perm: readonly number[],
  nodes: readonly NodeProto[],
  outputs: ReadonlySet<string>,
  constant: (name: string) => Tensor | undefined,
): { nodes: NodeProto[]; last: NodeProto; constants: { name: string; value: Tensor }[] } | undefined {
  const run: NodeProto[] = [];
  const constants: { name: string; value: Tensor }[] = [];
  let [tensorName] = first.output as [string];
  for (;;) {
    const takers = nodes.filter((node) => node.input.includes(tensorName));
    const [next] = takers;
    if (takers.length !== 1 || next === undefined || outputs.has(tensorName)) return undefined;
    if (next.opType === 'Transpose') {
      const undoes = attrInts(next, 'perm')?.every((axis, i) => perm[axis] === i);
      if (undoes !== true || outputs.has(next.output[0]!)) return undefined;
      return { nodes: run, last: next, constants };
    }
    const others = next.input.filter((name) => name !== tensorName && name !== '');
    const values = others.map(constant);
    if (values.includes(undefined)) return undefined;
    if (unary.has(next.opType) && values.every((value) => value!.data.length === 1)) run.push(next);
    else if (next.opType === 'Pad' && others.length < 3) {
      const pads = values[0]!;
      const from = Array.from(pads.data as BigInt64Array, Number);
      const moved = new BigInt64Array(from.length);
      for (const [k, axis] of perm.entries()) {
        moved[axis] = BigInt(from[k]!);
        moved[axis + perm.length] = BigInt(from[k + perm.length]!);
      }
      const name = `${next.output[0]}.pads`;
      constants.push({ name, value: tensor('int64', [from.length], moved) });
      run.push(changed(next, { input: [next.input[0]!, name, ...next.input.slice(2)] }));
    } else if (binary.has(next.opType) && others.length === 1) {
      const name = `${next.output[0]}.turned`;
      const value = turned(values[0]!, perm);
      if (value === undefined) return undefined;
      constants.push({ name, value });
      run.push(changed(next, { input: next.input.map((old) => (old === tensorName ? old : name)) }));
    } else return undefined;
    tensorName = next.output[0]!;
  }
}

/** A constant that varies along one axis at most, aligned with a tensor as it was before Transpose `perm`. */
function turned({ dtype, dims, data }: Tensor, perm: readonly number[]): Tensor | undefined {
  const aligned = [...perm.slice(dims.length).map(() => 1), ...dims];
  if (aligned.length !== perm.length || aligned.filter((dim) => dim > 1).length > 1) return undefined;
  const before = [...aligned];
  for (const [k, axis] of perm.entries()) before[axis] = aligned[k]!;
  return { dtype, dims: before, data } as Tensor;
}
