import type { DType } from './tensor.ts';

/**
 * What a strategy needs to know of a network without its weights: made by @tierwise/graph, read by
 * @tierwise/plan in places that never load a graph. Plain JSON. Shapes are those of one sample.
 *
 * Only what depends on the network's input is listed: a node that computes weights from constants is not work
 * that can be placed, and the weights it makes count as parameters of the nodes that take them.
 */
export interface ModelSummary {
  readonly inputs: readonly TensorSummary[];
  readonly outputs: readonly TensorSummary[];
  /** In an order in which they can run. */
  readonly nodes: readonly NodeSummary[];
  /** Every tensor between the inputs and the outputs, both included; a name that is not here is a parameter. */
  readonly tensors: readonly TensorSummary[];
  readonly totals: { readonly flops: number; readonly parameterBytes: number };
  /** In the order in which the network computes them. */
  readonly cuts: readonly CutSummary[];
}

/** A tensor of a network; `bytes` are those of one sample. */
export interface TensorSummary {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly bytes: number;
}

/** One node of a network: what it computes, from which tensors, at what cost. */
export interface NodeSummary {
  readonly name: string;
  /** ONNX operator. */
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Floating-point operations of one sample; a multiplication and an addition are two. */
  readonly flops: number;
  /** Bytes of weights that this node is the first to take. */
  readonly parameterBytes: number;
}

/**
 * A tensor inside the network through which every path from an input to an output runs: with it alone sent,
 * one place can compute what comes before and another what comes after.
 */
export interface CutSummary {
  readonly tensor: string;
  /** What crosses the cut for one sample, before any packing. */
  readonly bytes: number;
  readonly flopsBefore: number;
  readonly flopsAfter: number;
  readonly parameterBytesBefore: number;
  readonly parameterBytesAfter: number;
}
