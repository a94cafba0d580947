import { create } from '@bufbuild/protobuf';
import { type Tensor, TierwiseError, tensor } from '@tierwise/core';
import { type ModelProto, type NodeProto, NodeProtoSchema, OperatorSetIdProtoSchema } from 'onnx-buf';
import { attrFloat, attrInt, attrInts, intAttribute } from '../attributes.ts';
import { opset as newest } from '../builder.ts';
import { changed } from '../changed.ts';
import { nodeLabel } from '../check.ts';
import { graphOf } from '../flow.ts';
import { inferShapes, type ShapeOptions } from '../shapes.ts';
import { toTensorProto } from '../tensors.ts';

/** One node on its way to the newer version. */
interface Old {
  readonly node: NodeProto;
  dims(name: string): readonly number[];
  /** Whether anything takes output `index` of the node. */
  isUsed(index: number): boolean;
  /** A new constant of the graph, by name. */
  ints(values: readonly number[]): string;
  float(value: number): string;
  /** A name that the graph does not have yet. */
  fresh(hint: string): string;
  fail(reason: string): never;
}

/** What takes a node's place. */
type Rewrite = (old: Old) => NodeProto | NodeProto[];

const made = (
  opType: string,
  input: readonly string[],
  output: string,
  ...attribute: NodeProto['attribute']
) =>
  create(NodeProtoSchema, {
    opType,
    name: `${opType}_${output}`,
    input: [...input],
    output: [output],
    attribute,
  });

const without = (node: NodeProto, ...names: string[]): NodeProto =>
  changed(node, { attribute: node.attribute.filter(({ name }) => !names.includes(name)) });

/** The list attribute `name` becomes input `at`; nothing happens to a node that has none. */
const listToInput =
  (name: string, at = 1): Rewrite =>
  ({ node, ints }) => {
    const values = attrInts(node, name);
    if (values === undefined) return node;
    const input = [...node.input];
    input[at] = ints(values);
    return changed(without(node, name), { input });
  };

/** Before version 7 the second operand was laid along the first from `axis` on; now they meet at the last dimension. */
const broadcast: Rewrite = ({ node, dims, ints, fresh }) => {
  const axis = attrInt(node, 'axis');
  const plain = without(node, 'broadcast', 'axis', 'consumed_inputs');
  if (axis === undefined) return plain;
  const [a, b] = node.input as [string, string];
  const [rank, own] = [dims(a).length, dims(b).length];
  const after = rank - own - (axis < 0 ? axis + rank : axis);
  if (after <= 0) return plain;
  const stretched = fresh(`${b}.aligned`);
  const axes = Array.from({ length: after }, (_, i) => own + i);
  return [made('Unsqueeze', [b, ints(axes)], stretched), changed(plain, { input: [a, stretched] })];
};

/** Before version 13 all dimensions from `axis` (1 by default) on were normalised together. */
const softmax: Rewrite = ({ node, dims, fresh }) => {
  const [x] = node.input as [string];
  const [y] = node.output as [string];
  const shape = dims(x);
  const given = attrInt(node, 'axis', 1);
  const axis = given < 0 ? given + shape.length : given;
  const along = (at: number) => changed(without(node, 'axis'), { attribute: [intAttribute('axis', at)] });
  if (shape.slice(axis + 1).every((dim) => dim === 1)) return along(axis);
  const [size, flat, soft] = [fresh(`${x}.shape`), fresh(`${x}.flat`), fresh(`${y}.flat`)];
  return [
    made('Shape', [x], size),
    made('Flatten', [x], flat, intAttribute('axis', axis)),
    changed(along(1), { input: [flat], output: [soft] }),
    made('Reshape', [soft, size], y),
  ];
};

const clip: Rewrite = ({ node, float }) => {
  const [lo, hi] = [attrFloat(node, 'min'), attrFloat(node, 'max')];
  const input = [node.input[0]!, lo === undefined ? '' : float(lo), ...(hi === undefined ? [] : [float(hi)])];
  return changed(without(node, 'min', 'max', 'consumed_inputs'), { input });
};

const dropout: Rewrite = ({ node, isUsed, fail }) => {
  if (isUsed(1)) fail('its mask is used, which a network that only infers has not');
  return made('Identity', [node.input[0]!], node.output[0]!);
};

const batchNormalization: Rewrite = ({ node, isUsed, fail }) => {
  if (attrInt(node, 'spatial', 1) !== 1) fail('it normalises each position on its own (spatial 0)');
  if (node.output.some((_, i) => i > 0 && isUsed(i)))
    fail('its statistics are used: it is of a training graph');
  return changed(without(node, 'spatial', 'is_test', 'consumed_inputs'), { output: [node.output[0]!] });
};

const pad: Rewrite = ({ node, ints, float }) => {
  const pads = attrInts(node, 'pads') ?? attrInts(node, 'paddings');
  if (pads === undefined) return node;
  const input = [node.input[0]!, ints(pads), float(attrFloat(node, 'value', 0))];
  return changed(without(node, 'pads', 'paddings', 'value'), { input });
};

const slice: Rewrite = ({ node, ints }) => {
  const [starts, ends] = [attrInts(node, 'starts'), attrInts(node, 'ends')];
  if (starts === undefined || ends === undefined) return node;
  const axes = attrInts(
    node,
    'axes',
    starts.map((_, i) => i),
  );
  const input = [node.input[0]!, ints(starts), ints(ends), ints(axes)];
  return changed(without(node, 'starts', 'ends', 'axes'), { input });
};

/** Before version 18 the number of equal parts was the number of outputs. */
const split: Rewrite = ({ node }) =>
  node.input[1]
    ? node
    : changed(node, { attribute: [...node.attribute, intAttribute('num_outputs', node.output.length)] });

const prelu: Rewrite = ({ node, dims, ints, fresh }) => {
  const [x, slope] = node.input as [string, string];
  const spatial = dims(x).length - 2;
  if (spatial < 1 || dims(slope).length !== 1 || dims(slope)[0] === 1) return node;
  const aligned = fresh(`${slope}.aligned`);
  const axes = Array.from({ length: spatial }, (_, i) => i + 1);
  return [made('Unsqueeze', [slope, ints(axes)], aligned), changed(node, { input: [x, aligned] })];
};

const concat: Rewrite = ({ node }) =>
  attrInt(node, 'axis') === undefined
    ? changed(node, { attribute: [...node.attribute, intAttribute('axis', 1)] })
    : node;

const unknown: Rewrite = ({ fail }) =>
  fail('it cannot be brought to a newer version; export the network anew');

/** Each operator's changes, oldest first: the version before which a node has to be rewritten, and how. */
const rewrites: Readonly<Record<string, readonly (readonly [before: number, Rewrite])[]>> = {
  ...Object.fromEntries(
    'Add Sub Mul Div Pow And Or Xor Less Greater Equal'.split(' ').map((op) => [op, [[7, broadcast]]]),
  ),
  ...Object.fromEntries(
    'ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare'
      .split(' ')
      .map((op) => [op, [[18, listToInput('axes')]]]),
  ),
  ReduceSum: [[13, listToInput('axes')]],
  Squeeze: [[13, listToInput('axes')]],
  Unsqueeze: [[13, listToInput('axes')]],
  Reshape: [[5, listToInput('shape')]],
  Split: [
    [13, listToInput('split')],
    [18, split],
  ],
  Concat: [[4, concat]],
  Gemm: [[7, ({ node }) => without(node, 'broadcast')]],
  PRelu: [[7, prelu]],
  Softmax: [[13, softmax]],
  LogSoftmax: [[13, softmax]],
  Clip: [[11, clip]],
  Dropout: [[12, dropout]],
  BatchNormalization: [[14, batchNormalization]],
  Pad: [[11, pad]],
  Slice: [[10, slice]],
  Cast: [[6, unknown]],
  Upsample: [[10, unknown]],
  Resize: [[11, unknown]],
  TopK: [[10, unknown]],
  GroupNormalization: [[21, unknown]],
};

/** "To the end" is written as the largest number of 64 bits, which a double rounds up to one more. */
const wholeNumber = (value: number): bigint => BigInt(Math.max(-(2 ** 62), Math.min(value, 2 ** 62)));

/**
 * `model` in the operators of ONNX version 21 or later, computing the same: what older versions held in attributes
 * becomes inputs, and what has changed its meaning says explicitly what it meant. Dropout is taken out. The given
 * model is not changed, but shares what did not change.
 * @throws TierwiseError MODEL_UNSUPPORTED naming a node that has no counterpart; else as `inferShapes` does
 */
export function upgrade(model: ModelProto, options: ShapeOptions = {}): ModelProto {
  const graph = graphOf(model);
  const isOnnx = (domain: string) => domain === '' || domain === 'ai.onnx';
  const version = Number(model.opsetImport.find(({ domain }) => isOnnx(domain))?.version ?? 1n);
  if (version >= newest) return model;
  const types = inferShapes(model, options);
  const taken = new Set([...types.keys(), ...graph.node.map(({ name }) => name)]);
  const used = new Set([
    ...graph.node.flatMap(({ input }) => input),
    ...graph.output.map(({ name }) => name),
  ]);
  const initializer = [...graph.initializer];
  const fresh = (hint: string): string => {
    let name = hint;
    for (let n = 2; taken.has(name); n++) name = `${hint}_${n}`;
    taken.add(name);
    return name;
  };
  const constant = (value: Tensor): string => {
    const name = fresh(`const.${initializer.length}`);
    initializer.push(toTensorProto(name, value));
    return name;
  };
  const step = (node: NodeProto, rewrite: Rewrite) =>
    rewrite({
      node,
      fresh,
      dims: (name) => types.get(name)!.dims,
      isUsed: (index) => used.has(node.output[index] ?? ''),
      ints: (values) => constant(tensor('int64', [values.length], BigInt64Array.from(values, wholeNumber))),
      float: (value) => constant(tensor('float32', [], Float32Array.of(value))),
      fail: (reason) => {
        throw new TierwiseError('MODEL_UNSUPPORTED', `${nodeLabel(node)}: ${reason}`, {
          node: node.name,
          op: node.opType,
        });
      },
    });
  const nodes = graph.node.flatMap((node) =>
    (isOnnx(node.domain) ? (rewrites[node.opType] ?? []) : [])
      .filter(([before]) => version < before)
      .reduce<NodeProto[]>(
        (now, [, rewrite]) => [...now.slice(0, -1), step(now.at(-1)!, rewrite)].flat(),
        [node],
      ),
  );
  return changed(model, {
    irVersion: model.irVersion < 10n ? 10n : model.irVersion,
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(newest) }),
      ...model.opsetImport.filter(({ domain }) => !isOnnx(domain)),
    ],
    graph: changed(graph, { node: nodes, initializer }),
  });
}
