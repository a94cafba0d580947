import { create } from '@bufbuild/protobuf';
import { TierwiseError } from '@tierwise/core';
import { type ModelProto, type NodeProto, NodeProtoSchema } from 'onnx-buf';
import { intAttribute } from '../attributes.ts';
import { changed } from '../changed.ts';
import { extract } from '../cut.ts';
import { flowOf, graphOf } from '../flow.ts';
import type { TensorType } from '../shapes.ts';
import { valueInfo } from '../value-info.ts';

/** Rearrangements between a network's last layer and what it gives; none changes which score is the largest. */
const passing = new Set([
  'Identity',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Dropout',
  'Transpose',
  'Cast',
]);
/** Score to probability; the largest stays the largest. */
const toProbability = new Set(['Softmax', 'LogSoftmax', 'Sigmoid']);

export interface Scores {
  /** The tensor before softmax. */
  readonly tensor: string;
  /** The output that led there, and what was stripped. */
  readonly from: string;
  readonly through: string;
  readonly classes: number;
}

/**
 * The tensor that holds the scores before softmax: of the only output that has some, or of `wanted`, any tensor.
 * @throws TierwiseError MODEL_UNSUPPORTED when there is none, USAGE when there are several
 */
export function findScores(
  model: ModelProto,
  types: ReadonlyMap<string, TensorType>,
  wanted: string | undefined,
): Scores {
  const outputs = graphOf(model).output.map(({ name }) => name);
  const shown = (name: string) => `${name} ${types.get(name)?.dtype} [${types.get(name)?.dims}]`;
  if (wanted !== undefined) {
    if (!types.has(wanted))
      throw new TierwiseError(
        'USAGE',
        `the network has no tensor "${wanted}"; its outputs are ${outputs.map(shown).join(', ')}`,
        { tensor: wanted },
      );
    const classes = classesOf(types.get(wanted)!);
    if (classes === undefined)
      throw new TierwiseError(
        'MODEL_UNSUPPORTED',
        `"${wanted}" is ${shown(wanted)}: that is no row of scores for each picture`,
      );
    return beforeSoftmax(model, types, wanted, classes);
  }
  const found = new Map<string, Scores>();
  for (const name of outputs) {
    const classes = classesOf(types.get(name)!);
    if (classes === undefined) continue;
    const scores = beforeSoftmax(model, types, name, classes);
    found.set(scores.tensor, scores);
  }
  const [scores, other] = found.values();
  if (scores === undefined)
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `no output is one row of scores for each picture: there is ${outputs.map(shown).join(', ')}. Only classifiers can be given a branch`,
    );
  if (other !== undefined)
    throw new TierwiseError(
      'USAGE',
      `several outputs could be the scores: ${[...found.values()].map(({ from }) => shown(from)).join(', ')}. Choose one with --output`,
    );
  return scores;
}

/** Classes of a tensor [n, classes] with ones around; undefined for any other shape. */
function classesOf({ dtype, dims }: TensorType): number | undefined {
  const beyond = dims.slice(1).filter((dim) => dim !== 1);
  return dtype === 'float32' && dims.length > 1 && beyond.length === 1 ? beyond[0] : undefined;
}

function beforeSoftmax(
  model: ModelProto,
  types: ReadonlyMap<string, TensorType>,
  from: string,
  classes: number,
): Scores {
  const makers = new Map(graphOf(model).node.map((node) => [node.output[0], node]));
  let node: NodeProto | undefined = makers.get(from);
  while (node && passing.has(node.opType)) node = makers.get(node.input[0]);
  const [x] = node?.input ?? [];
  if (!node || !toProbability.has(node.opType) || x === undefined || classesOf(types.get(x)!) !== classes)
    return { tensor: from, from, through: '', classes };
  return { tensor: x, from, through: `${node.opType} "${node.name || node.output[0]}"`, classes };
}

/** The part of `model` that computes `tensor`, given as [n, classes]. */
export function withScores(
  model: ModelProto,
  tensor: string,
  types: ReadonlyMap<string, TensorType>,
): ModelProto {
  const { inputs } = flowOf(model);
  const { dtype, dims } = types.get(tensor)!;
  const graph = graphOf(model);
  if (dims.length === 2)
    return extract(declared(model, tensor, dtype, dims), { inputs, outputs: [tensor] }, sizes(types, inputs));
  const flat = `${tensor}.scores`;
  const flatten = create(NodeProtoSchema, {
    opType: 'Flatten',
    name: `Flatten_${flat}`,
    input: [tensor],
    output: [flat],
    attribute: [intAttribute('axis', 1)],
  });
  const flattened = changed(model, { graph: changed(graph, { node: [...graph.node, flatten] }) });
  const classes = dims.slice(1).reduce((a, d) => a * d, 1);
  return extract(
    declared(flattened, flat, dtype, [dims[0]!, classes]),
    { inputs, outputs: [flat] },
    sizes(types, inputs),
  );
}

const sizes = (types: ReadonlyMap<string, TensorType>, inputs: readonly string[]) => ({
  inputs: Object.fromEntries(inputs.map((name) => [name, types.get(name)!.dims])),
});

/** `model` with `tensor` as its only output. */
function declared(
  model: ModelProto,
  tensor: string,
  dtype: TensorType['dtype'],
  dims: readonly number[],
): ModelProto {
  return changed(model, { graph: changed(graphOf(model), { output: [valueInfo(tensor, dtype, dims)] }) });
}
