import { fromFloat16, type Tensor } from '@tierwise/core';
import { attrFloat, attrFloats, attrInt, attrInts, attrTensor, fromTensorProto } from '@tierwise/graph';
import { type GraphProto, type NodeProto, TensorProto_DataType } from 'onnx-buf';

/** A constant of the graph. Its numbers are exact in float64 whatever it is stored as, save int64 beyond 2^53. */
export interface Constant {
  readonly dims: readonly number[];
  readonly values: Float64Array;
}

export type ConstantOf = (name: string) => Constant | undefined;

/**
 * Looks up constants by tensor name: initializers and Constant nodes, also behind Identity and Cast to float32.
 * Gives undefined for anything else.
 */
export function constantsOf(graph: GraphProto): ConstantOf {
  const initializers = new Map(graph.initializer.map((proto) => [proto.name, proto]));
  const makers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const known = new Map<string, Constant | undefined>();

  const find = (name: string): Constant | undefined => {
    const stored = initializers.get(name);
    if (stored) return numbers(fromTensorProto(stored));
    const maker = makers.get(name);
    if (maker?.opType === 'Constant') return constantNode(maker);
    if (maker?.opType === 'Identity') return lookUp(maker.input[0]!);
    if (maker?.opType === 'Cast' && attrInt(maker, 'to') === TensorProto_DataType.FLOAT) {
      const from = lookUp(maker.input[0]!);
      return from && { dims: from.dims, values: from.values.map(Math.fround) };
    }
    return undefined;
  };
  const lookUp = (name: string): Constant | undefined => {
    if (!known.has(name)) known.set(name, find(name));
    return known.get(name);
  };
  return lookUp;
}

function numbers({ dtype, dims, data }: Tensor): Constant {
  const source = dtype === 'float16' ? fromFloat16(data as Uint16Array) : data;
  if (source instanceof BigInt64Array || source instanceof BigUint64Array)
    return { dims, values: Float64Array.from(source, Number) };
  return { dims, values: new Float64Array(source) };
}

function constantNode(node: NodeProto): Constant | undefined {
  const stored = attrTensor(node, 'value');
  if (stored) return numbers(stored);
  const one = attrFloat(node, 'value_float') ?? attrInt(node, 'value_int');
  if (one !== undefined) return { dims: [], values: Float64Array.of(one) };
  const list = attrFloats(node, 'value_floats') ?? attrInts(node, 'value_ints');
  return list && { dims: [list.length], values: Float64Array.from(list) };
}
