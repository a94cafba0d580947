import type { GraphBuilder, Value } from '@tierwise/graph';
import type { ParameterKind } from '../layers/training.ts';

/** One parameter's part of an update: tensors of the graph, all of the parameter's shape. */
export interface Update {
  /** The new value of the parameter, before it is kept in range. */
  readonly value: Value;
  /** New values of the optimiser's own tensors, in the order of `slots`. */
  readonly slots: readonly Value[];
}

/** A key of `optimizers`. */
export type OptimizerName = 'adam' | 'sgd';

/** Written into the training graph: the step is one ONNX file, optimiser included. */
export interface Optimizer {
  readonly name: OptimizerName;
  /** Tensors kept per parameter, each of its shape and starting at 0. */
  readonly slots: readonly string[];
  /** Scalars that change with the step (counted from 1), by input name. */
  scalars(step: number): Readonly<Record<string, number>>;
  /** `scalar` gives the graph input of a scalar named in `scalars`. */
  update(
    b: GraphBuilder,
    parameter: Value,
    gradient: Value,
    slots: readonly Value[],
    rate: Value,
    scalar: (name: string) => Value,
  ): Update;
}

const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8];

/** Adam (Kingma and Ba 2015, algorithm 1), with the bias corrections as two scalars per step. */
export const adam: Optimizer = {
  name: 'adam',
  slots: ['first', 'second'],
  scalars: (step) => ({ correction1: 1 / (1 - beta1 ** step), correction2: 1 / (1 - beta2 ** step) }),
  update(b, parameter, gradient, [first, second], rate, scalar) {
    const m = b.add(b.mul(first!, b.scalar(beta1)), b.mul(gradient, b.scalar(1 - beta1)));
    const v = b.add(b.mul(second!, b.scalar(beta2)), b.mul(b.mul(gradient, gradient), b.scalar(1 - beta2)));
    const step = b.div(
      b.mul(m, scalar('correction1')),
      b.add(b.sqrt(b.mul(v, scalar('correction2'))), b.scalar(epsilon)),
    );
    return { value: b.sub(parameter, b.mul(step, rate)), slots: [m, v] };
  },
};

/**
 * Stochastic gradient descent with Nesterov's momentum 0.9: v = 0.9 v + g, p = p - rate (g + 0.9 v). What is kept is
 * 0.9 v, which both need: memory is what an update waits for.
 */
export const sgd: Optimizer = {
  name: 'sgd',
  slots: ['velocity'],
  scalars: () => ({}),
  update(b, parameter, gradient, [velocity], rate) {
    const v = b.mul(b.add(velocity!, gradient), b.scalar(0.9));
    return { value: b.sub(parameter, b.mul(b.add(gradient, v), rate)), slots: [v] };
  },
};

/** How gradients change weights, by name. */
export const optimizers: Readonly<Record<OptimizerName, Optimizer>> = { adam, sgd };

/** Decoupled weight decay (Loshchilov and Hutter 2019) of real weights, then the range that a kind keeps. */
export function keepInRange(
  b: GraphBuilder,
  kind: ParameterKind,
  before: Value,
  updated: Value,
  rate: Value,
  decay: number,
): Value {
  switch (kind) {
    case 'weight':
      return decay === 0 ? updated : b.sub(updated, b.mul(before, b.mul(rate, b.scalar(decay))));
    case 'gamma':
      return b.op('Max', [updated, b.scalar(0.01)]);
    case 'latent':
      return b.op('Clip', [updated, b.scalar(-1), b.scalar(1)]);
    case 'plain':
      return updated;
    default:
      return kind satisfies never;
  }
}
