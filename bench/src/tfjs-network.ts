import { TierwiseError } from '@tierwise/core';
import { attrInt, attrInts, fromTensorProto, type ModelProto, type NodeProto } from '@tierwise/graph';

/** A convolutional network as tfjs runs it, layout NHWC. `inputs` number values: 0 is the picture, i + 1 what op i gives. */
export interface TfjsNetwork {
  readonly ops: readonly TfjsOp[];
  /** Where each constant lies in the weights, float32 little-endian; offsets in bytes. */
  readonly tensors: readonly { readonly dims: readonly number[]; readonly offset: number }[];
}

export type TfjsOp = { readonly inputs: readonly number[] } & (
  | {
      readonly kind: 'conv';
      readonly weights: number;
      readonly bias?: number;
      readonly stride: number;
      readonly pad: number;
    }
  | { readonly kind: 'dense'; readonly weights: number; readonly bias: number }
  | { readonly kind: 'maxPool'; readonly size: number; readonly stride: number; readonly pad: number }
  | { readonly kind: 'meanPool' | 'relu' | 'add' | 'flatten' }
);

/**
 * `model` for tfjs: what its converter would make of a plain convolutional network. Square windows only.
 * @throws TierwiseError MODEL_UNSUPPORTED on an operator that the rivals of our benchmarks do not have
 */
export function toTfjs(model: ModelProto): { network: TfjsNetwork; weights: Uint8Array } {
  const graph = model.graph!;
  const stored = new Map(graph.initializer.map((proto) => [proto.name, proto]));
  const values = new Map<string, number>([[graph.input[0]!.name, 0]]);
  const ops: TfjsOp[] = [];
  const tensors: { dims: readonly number[]; offset: number }[] = [];
  const parts: Float32Array[] = [];
  let bytes = 0;

  function constant(
    name: string,
    arrange: (dims: readonly number[], data: Float32Array) => Arranged,
  ): number {
    const tensor = fromTensorProto(stored.get(name)!);
    const { dims, data } = arrange(tensor.dims, tensor.data as Float32Array);
    tensors.push({ dims, offset: bytes });
    parts.push(data);
    bytes += data.byteLength;
    return tensors.length - 1;
  }

  for (const node of graph.node) {
    const inputs = node.input.filter((name) => !stored.has(name)).map((name) => values.get(name)!);
    const op = convert(node, inputs, constant);
    // Identity gives another name to what is there.
    if (op === undefined) values.set(node.output[0]!, inputs[0]!);
    else values.set(node.output[0]!, ops.push(op));
  }
  const weights = new Uint8Array(bytes);
  parts.forEach((part, i) => {
    weights.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), tensors[i]!.offset);
  });
  return { network: { ops, tensors }, weights };
}

interface Arranged {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

const asIs = (dims: readonly number[], data: Float32Array): Arranged => ({ dims, data });

function convert(
  node: NodeProto,
  inputs: readonly number[],
  constant: (name: string, arrange: typeof asIs) => number,
): TfjsOp | undefined {
  switch (node.opType) {
    case 'Identity':
      return undefined;
    case 'Conv':
      return {
        kind: 'conv',
        inputs,
        weights: constant(node.input[1]!, outputsLast),
        ...(node.input[2] === undefined ? {} : { bias: constant(node.input[2], asIs) }),
        stride: attrInts(node, 'strides', [1, 1])[0]!,
        pad: attrInts(node, 'pads', [0, 0, 0, 0])[0]!,
      };
    case 'Gemm':
      return {
        kind: 'dense',
        inputs,
        weights: constant(node.input[1]!, attrInt(node, 'transB', 0) === 1 ? transposed : asIs),
        bias: constant(node.input[2]!, asIs),
      };
    case 'MaxPool':
      return {
        kind: 'maxPool',
        inputs,
        size: attrInts(node, 'kernel_shape', [])[0]!,
        stride: attrInts(node, 'strides', [1, 1])[0]!,
        pad: attrInts(node, 'pads', [0, 0, 0, 0])[0]!,
      };
    case 'GlobalAveragePool':
      return { kind: 'meanPool', inputs };
    case 'Flatten':
      return { kind: 'flatten', inputs };
    case 'Relu':
      return { kind: 'relu', inputs };
    case 'Add':
      return { kind: 'add', inputs };
    default:
      throw new TierwiseError('MODEL_UNSUPPORTED', `the benchmark cannot give ${node.opType} to tfjs`);
  }
}

/** [k, c, h, w] to [h, w, c, k]. */
function outputsLast([k, c, h, w]: readonly number[], data: Float32Array): Arranged {
  const out = new Float32Array(data.length);
  let at = 0;
  for (let y = 0; y < h!; y++)
    for (let x = 0; x < w!; x++)
      for (let i = 0; i < c!; i++)
        for (let o = 0; o < k!; o++) out[at++] = data[((o * c! + i) * h! + y) * w! + x]!;
  return { dims: [h!, w!, c!, k!], data: out };
}

/** [n, k] to [k, n]. */
function transposed([n, k]: readonly number[], data: Float32Array): Arranged {
  return { dims: [k!, n!], data: data.map((_, i) => data[(i % n!) * k! + Math.floor(i / n!)]!) };
}
