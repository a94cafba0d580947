import { TierwiseError } from '@tierwise/core';
import type { NodeProto } from 'onnx-buf';
import type { GraphBuilder, Value } from '../builder.ts';
import { nodeLabel } from '../check.ts';

/** What a rule sees of the node it differentiates. Shapes are those of the forward graph and static. */
export interface RuleContext {
  readonly b: GraphBuilder;
  /** The forward node. A rule may append outputs to it (MaxPool's indices), never change what it computes. */
  readonly node: NodeProto;
  /** Gradient of the loss with respect to output 0, of output 0's shape. */
  readonly dy: Value;
  /** The same for each output, undefined where nothing comes back; only Split's rule meets more than `dy`. */
  readonly gradients: readonly (Value | undefined)[];
  /** Shape of a tensor of the forward graph. */
  dims(value: Value): readonly number[];
  /** Whether a gradient with respect to `value` is wanted; a rule skips the work when it is not. */
  wanted(value: Value): boolean;
  /** Adds `gradient`, of `value`'s shape, to what is known of d loss / d value. */
  give(value: Value, gradient: Value): void;
  /** The forward node that makes `value`; undefined for inputs and constants. */
  producer(value: Value): NodeProto | undefined;
  /** Whether no element of `value` is beyond 1 or -1. */
  bounded(value: Value): boolean;
  /** Elements of a small tensor that follow from the model alone; undefined for any other. */
  constant(value: Value): readonly number[] | undefined;
}

/** MODEL_UNSUPPORTED for a form of the node's operator that its rule does not cover. */
export function unsupported({ node }: Pick<RuleContext, 'node'>, only: string): TierwiseError {
  return new TierwiseError('MODEL_UNSUPPORTED', `${nodeLabel(node)} can be differentiated ${only}`, {
    node: node.name,
    op: node.opType,
  });
}

/** Appends the backward nodes of one operator to the graph. */
export type Rule = (context: RuleContext) => void;

/**
 * Sums `gradient` over the dimensions along which numpy broadcasting stretched a tensor of shape `to` into
 * `from`, and gives it the shape `to` again.
 */
export function unbroadcast(
  b: GraphBuilder,
  gradient: Value,
  from: readonly number[],
  to: readonly number[],
): Value {
  const lead = from.length - to.length;
  const axes = from.flatMap((dim, i) => (i < lead || (to[i - lead] === 1 && dim !== 1) ? [i] : []));
  if (axes.length === 0) return lead === 0 ? gradient : b.reshape(gradient, to);
  return b.reshape(reduceSum(b, gradient, from, axes), to);
}

/**
 * ReduceSum without kept dimensions. A sum over batch and space of [n, c, h, w] runs in two stages, [n, c, h*w]
 * over 2 and then over 0: onnxruntime's reduction over axes (0, 2, 3) at once took 2.5 times as long.
 */
export function reduceSum(
  b: GraphBuilder,
  x: Value,
  dims: readonly number[],
  axes: readonly number[],
): Value {
  if (dims.length === 4 && axes.join() === '0,2,3') {
    const [n, c, h, w] = dims as [number, number, number, number];
    return b.sum(b.sum(b.reshape(x, [n, c, h * w]), [2]), [0]);
  }
  return b.sum(x, axes);
}

/** Gives `gradient`, computed at the output's shape, to input `i`, summed where that input was broadcast. */
export function giveInput(c: RuleContext, i: number, gradient: () => Value): void {
  const x = c.node.input[i]!;
  if (c.wanted(x)) c.give(x, unbroadcast(c.b, gradient(), c.dims(c.node.output[0]!), c.dims(x)));
}

/** Rule of a one-input operator: d x from d y, with x and y at hand. */
export function unary(derive: (c: RuleContext, x: Value, y: Value) => Value): Rule {
  return (c) => giveInput(c, 0, () => derive(c, c.node.input[0]!, c.node.output[0]!));
}
