import { create } from '@bufbuild/protobuf';
import { type Tensor, TierwiseError } from '@tierwise/core';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as Kind,
  type NodeProto,
  type TensorProto,
} from 'onnx-buf';
import { nodeLabel } from './check.ts';
import { fromTensorProto, toTensorProto } from './tensors.ts';

/**
 * Reading: each getter gives the attribute `name` of `node`, or `fallback` when the node has none.
 * All throw TierwiseError MODEL_CORRUPT when the attribute is there with another type.
 */
export function attrInt(node: NodeProto, name: string): number | undefined;
export function attrInt(node: NodeProto, name: string, fallback: number): number;
export function attrInt(node: NodeProto, name: string, fallback?: number): number | undefined {
  const found = find(node, name, Kind.INT);
  return found === undefined ? fallback : Number(found.i);
}

/** As `attrInt`, for a list of whole numbers. */
export function attrInts(node: NodeProto, name: string): number[] | undefined;
export function attrInts(node: NodeProto, name: string, fallback: readonly number[]): readonly number[];
export function attrInts(node: NodeProto, name: string, fallback?: readonly number[]) {
  return find(node, name, Kind.INTS)?.ints.map(Number) ?? fallback;
}

/** As `attrInt`, for a float32. */
export function attrFloat(node: NodeProto, name: string): number | undefined;
export function attrFloat(node: NodeProto, name: string, fallback: number): number;
export function attrFloat(node: NodeProto, name: string, fallback?: number): number | undefined {
  return find(node, name, Kind.FLOAT)?.f ?? fallback;
}

/** As `attrInt`, for a list of float32, which has no fallback. */
export function attrFloats(node: NodeProto, name: string): readonly number[] | undefined {
  return find(node, name, Kind.FLOATS)?.floats;
}

/** As `attrInt`, for a string, decoded as UTF-8. */
export function attrString(node: NodeProto, name: string): string | undefined;
export function attrString(node: NodeProto, name: string, fallback: string): string;
export function attrString(node: NodeProto, name: string, fallback?: string): string | undefined {
  const found = find(node, name, Kind.STRING);
  return found === undefined ? fallback : new TextDecoder().decode(found.s);
}

/** The tensor attribute `name`; its data may share memory with the model. */
export function attrTensor(node: NodeProto, name: string): Tensor | undefined {
  const proto = attrTensorProto(node, name);
  return proto && fromTensorProto(proto, `${name} of ${nodeLabel(node)}`);
}

/** The tensor attribute `name` as it is stored. */
export function attrTensorProto(node: NodeProto, name: string): TensorProto | undefined {
  return find(node, name, Kind.TENSOR)?.t;
}

/** Writing: an int64 attribute. */
export function intAttribute(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, type: Kind.INT, i: BigInt(value) });
}

/** Writing: a list of int64. */
export function intsAttribute(name: string, values: readonly number[]): AttributeProto {
  return create(AttributeProtoSchema, { name, type: Kind.INTS, ints: values.map(BigInt) });
}

/** Writing: a float32. */
export function floatAttribute(name: string, value: number): AttributeProto {
  return create(AttributeProtoSchema, { name, type: Kind.FLOAT, f: value });
}

/** Writing: a string, as UTF-8. */
export function stringAttribute(name: string, value: string): AttributeProto {
  return create(AttributeProtoSchema, { name, type: Kind.STRING, s: new TextEncoder().encode(value) });
}

/** Writing: a tensor. */
export function tensorAttribute(name: string, value: Tensor): AttributeProto {
  return create(AttributeProtoSchema, { name, type: Kind.TENSOR, t: toTensorProto('', value) });
}

/** Files of the first IR versions leave the type out, so UNDEFINED passes. */
function find(node: NodeProto, name: string, kind: Kind): AttributeProto | undefined {
  const found = node.attribute.find((attribute) => attribute.name === name);
  if (found !== undefined && found.type !== kind && found.type !== Kind.UNDEFINED) {
    throw new TierwiseError(
      'MODEL_CORRUPT',
      `attribute "${name}" of ${nodeLabel(node)} is not of type ${Kind[kind]}`,
      { node: node.name, attribute: name },
    );
  }
  return found;
}
