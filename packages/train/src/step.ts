/**
 * The whole training step as one ONNX graph: forward, both losses, backward, optimiser, running averages.
 * onnxruntime runs it; any machine with ONNX Runtime could.
 *
 * Inputs: `pixels` uint8 [n, c, h, w], `targets` float32 [n, classes] (rows sum to 1), `rate` float32 [],
 * the optimiser's scalars, a mask per dropout, and every tensor of the state by name. Outputs: each tensor of
 * the state as `<name>.next`, `loss.main`, `loss.branch` (means over the batch) and `correct.main`,
 * `correct.branch` (counts), all float32.
 */
import { differentiate, GraphBuilder, type Value, writeOnnx } from '@tierwise/graph';
import type { Feature } from './layers/layers.ts';
import { type Mask, type Parameter, type Statistic, TrainingLayers } from './layers/training.ts';
import type { Network } from './networks/index.ts';
import { keepInRange, type Optimizer } from './optimizer.ts';

/** A tensor that lives from step to step: parameter, running statistic or slot of the optimiser; float32. */
export interface StateTensor {
  readonly name: string;
  readonly dims: readonly number[];
}

export interface TrainingStep {
  readonly model: Uint8Array;
  readonly parameters: readonly Parameter[];
  readonly statistics: readonly Statistic[];
  readonly masks: readonly Mask[];
  readonly state: readonly StateTensor[];
}

export interface StepOptions {
  readonly batch: number;
  readonly classes: number;
  readonly optimizer: Optimizer;
  readonly weightDecay: number;
}

/** Cross-entropy -mean_n sum_c target log softmax(scores), and how many rows have their maximum where the target has. */
function loss(b: GraphBuilder, scores: Feature, targets: Value): { loss: Value; correct: Value } {
  const logP = b.op('LogSoftmax', [scores.value], { axis: 1 });
  const mean = b.neg(b.mean(b.sum(b.mul(logP, targets), [1]), [0]));
  const top = (x: Value) => b.op('ArgMax', [x], { axis: 1, keepdims: 0 });
  const hits = b.op('Cast', [b.op('Equal', [top(scores.value), top(targets)])], { to: 1 });
  return { loss: mean, correct: b.sum(hits, [0]) };
}

/**
 * Writes the step of `network` with the joint loss CE(main) + CE(branch), equal weights: LcDNN eq. 1 in the
 * adopted form (systems.md section 6.2). The stem learns from both.
 */
export function trainingStep(network: Network, options: StepOptions): TrainingStep {
  const b = new GraphBuilder(`${network.name}-step`);
  const { channels, height, width } = network.input;
  const dims = [options.batch, channels, height, width];
  const pixels = b.op('Cast', [b.input('pixels', 'uint8', dims)], { to: 1 });
  const targets = b.input('targets', 'float32', [options.batch, options.classes]);
  const rate = b.input('rate', 'float32', []);
  const scalars = new Map(
    Object.keys(options.optimizer.scalars(1)).map((name) => [name, b.input(name, 'float32', [])]),
  );

  const layers = new TrainingLayers(b);
  const { main, branch } = network.build(layers, { value: pixels, dims }, options.classes);
  const mainLoss = loss(b, main, targets);
  const branchLoss = loss(b, branch, targets);
  const total = b.add(mainLoss.loss, branchLoss.loss);
  const gradients = differentiate(
    b,
    total,
    layers.parameters.map((p) => p.name),
  );

  const state: StateTensor[] = [];
  const keep = (name: string, tensorDims: readonly number[], next: Value) => {
    state.push({ name, dims: tensorDims });
    b.output(next, 'float32', tensorDims, `${name}.next`);
  };
  for (const { name, kind, dims: shape } of layers.parameters) {
    const slots = options.optimizer.slots.map((slot) => b.input(`${name}.${slot}`, 'float32', shape));
    const update = options.optimizer.update(
      b,
      name,
      gradients.get(name)!,
      slots,
      rate,
      (scalar) => scalars.get(scalar)!,
    );
    keep(name, shape, keepInRange(b, kind, name, update.value, rate, options.weightDecay));
    for (const [i, slot] of options.optimizer.slots.entries())
      keep(`${name}.${slot}`, shape, update.slots[i]!);
  }
  for (const { name, dims: shape, batch } of layers.statistics) {
    const kept = b.mul(b.input(name, 'float32', shape), b.scalar(0.9));
    keep(name, shape, b.add(kept, b.mul(batch, b.scalar(0.1))));
  }
  for (const [name, value] of [
    ['loss.main', mainLoss.loss],
    ['loss.branch', branchLoss.loss],
    ['correct.main', mainLoss.correct],
    ['correct.branch', branchLoss.correct],
  ] as const)
    b.output(value, 'float32', [], name);
  return {
    model: writeOnnx(b.model),
    parameters: layers.parameters,
    statistics: layers.statistics,
    masks: layers.masks,
    state,
  };
}
