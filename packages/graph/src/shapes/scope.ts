import { type DType, TierwiseError } from '@tierwise/core';
import type { NodeProto } from 'onnx-buf';
import { nodeLabel } from '../check.ts';

/** Element type and concrete shape of a tensor. */
export interface TensorType {
  readonly dtype: DType;
  readonly dims: readonly number[];
}

/**
 * What is known of a tensor before anything runs. `values`, row-major, is there for small tensors whose elements
 * follow from the model alone: shapes, axes and what is computed from them. 64-bit numbers are held as doubles;
 * those beyond 2^53 only occur as "to the end" bounds, where the rounding does not matter.
 */
export interface Known extends TensorType {
  readonly values?: readonly number[];
}

/** Tensors with more elements than this never get `values`: two for each of the 64 dimensions a tensor may have. */
export const maxKnownElements = 128;

/** One node as a shape rule sees it. */
export interface Scope {
  readonly node: NodeProto;
  /** Version of the ONNX operators that the model asks for. */
  readonly opset: number;
  /** Input `index`. @throws TierwiseError MODEL_CORRUPT when the node has none */
  input(index: number): Known;
  /** Input `index`, when the node has one. */
  optional(index: number): Known | undefined;
  /** Elements of input `index`, which must follow from the model alone. @throws TierwiseError MODEL_UNSUPPORTED */
  values(index: number): readonly number[];
  /** @throws TierwiseError MODEL_CORRUPT naming the node */
  fail(reason: string): never;
}

/** Gives what is known of a node's outputs, in order. May give more outputs than the node names. */
export type Rule = (scope: Scope) => readonly Known[];

export function scopeOf(node: NodeProto, opset: number, known: ReadonlyMap<string, Known>): Scope {
  const optional = (index: number) => known.get(node.input[index] ?? '');
  const fail = (reason: string): never => {
    throw new TierwiseError('MODEL_CORRUPT', `${nodeLabel(node)}: ${reason}`, {
      node: node.name,
      op: node.opType,
    });
  };
  const input = (index: number) => optional(index) ?? fail(`input ${index} is missing`);
  return {
    node,
    opset,
    optional,
    input,
    fail,
    values(index) {
      const { values } = input(index);
      if (values !== undefined) return values;
      throw new TierwiseError(
        'MODEL_UNSUPPORTED',
        `${nodeLabel(node)}: the shape depends on the data in "${node.input[index]}"`,
        { node: node.name, op: node.opType, tensor: node.input[index] },
      );
    },
  };
}

/** `axis`, counted from the end when negative, as 0..rank-1. */
export function normalizeAxis(scope: Scope, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank)
    scope.fail(`axis ${axis} is outside rank ${rank}`);
  return normal;
}
