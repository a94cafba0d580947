/**
 * The whole training step of a phase as one ONNX graph: forward, losses, backward, optimiser, running averages.
 * onnxruntime runs it; any machine with ONNX Runtime could.
 *
 * Inputs: what the phase learns from (`pixels` uint8 [n, c, h, w], or `stem` float32 [n, c, h, w]; and where a frozen
 * network teaches, its scores `teacher` float32 [n, classes]), `targets` float32 [n, classes] (rows sum to 1), `rate`
 * float32 [], the optimiser's scalars, a mask per dropout, and every tensor of the state by name. Outputs: each tensor
 * of the state as `<name>.next`, and for each head `loss.<head>` (mean over the batch) and `correct.<head>` (count),
 * all float32.
 */
import {
  differentiate,
  GraphBuilder,
  inferShapes,
  type ModelProto,
  productsOnSmallMaps,
  type Value,
  writeOnnx,
} from '@tierwise/graph';
import type { Backbone } from '../frozen/backbone.ts';
import { writeBackbone } from '../frozen/backbone-training.ts';
import type { Feature } from '../layers/layers.ts';
import { shrunk } from '../layers/shrink.ts';
import { type Mask, type Parameter, type Statistic, TrainingLayers } from '../layers/training.ts';
import type { Network } from '../networks/index.ts';
import { type BranchChoice, findRecipe } from '../recipes/index.ts';
import { keepInRange, type Optimizer } from './optimizer.ts';

/** A tensor that lives from step to step: parameter, running statistic or slot of the optimiser; float32. */
export interface StateTensor {
  readonly name: string;
  readonly dims: readonly number[];
}

/** What has scores and a loss. */
export type HeadName = 'main' | 'branch';

/** One step of training as an ONNX file, and what its inputs and outputs are. */
export interface TrainingStep {
  readonly model: Uint8Array;
  readonly heads: readonly HeadName[];
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
  /** In place of the network's own rates. */
  readonly dropout?: number;
  /** Sides of what is learnt from, as a share of what they are: pictures, or of a branch alone stems. Default 1. */
  readonly side?: number;
}

interface Head {
  readonly name: HeadName;
  readonly scores: Feature;
  /** Adds the loss of not matching another network's scores. */
  readonly matching?: { readonly scores: Value; readonly temperature: number };
}

/**
 * The step of `network` alone, or with `branch` the joint step with the loss CE(main) + CE(branch), equal weights:
 * LcDNN eq. 1 in the adopted form (systems.md section 6.2). The stem learns from both. With `taught` the network is the
 * student of another one, with the loss of `branchStep`.
 */
export function networkStep(
  network: Network,
  branch: BranchChoice | undefined,
  options: StepOptions,
  taught?: { readonly temperature: number },
): TrainingStep {
  const { channels, height, width } = network.input;
  return writeStep(network.name, options, (b, layers) => {
    const dims = [options.batch, channels, height, width];
    const value = b.op('Cast', [b.input('pixels', 'uint8', dims)], { to: 1 });
    const stem = network.stem(layers, shrunk(b, { value, dims }, options.side ?? 1));
    const main = { name: 'main', scores: network.main(layers, stem, options.classes) } as const;
    const heads: Head[] = [
      taught ? { ...main, matching: { scores: taughtScores(b, options), ...taught } } : main,
    ];
    if (branch) {
      const scores = findRecipe(branch.recipe)(layers, stem, options.classes, branch.design);
      heads.push({ name: 'branch', scores });
    }
    return heads;
  });
}

/**
 * The step of `backbone` and a branch together, with the loss of `networkStep`. There is no distillation as in
 * `branchStep`: where scores are large its term outweighs the others in the stem, which both train. `stemDims` are the
 * stem's for any batch.
 * @throws TierwiseError MODEL_UNSUPPORTED naming a node of the backbone that cannot be differentiated
 */
export function attachedStep(
  backbone: Backbone,
  stemDims: readonly number[],
  branch: BranchChoice,
  options: StepOptions,
): TrainingStep {
  const { channels, height, width } = backbone.preprocess;
  const { batch, classes } = options;
  return writeStep('attached', options, (b, layers) => {
    const pixels = b.op('Cast', [b.input('pixels', 'uint8', [batch, channels, height, width])], { to: 1 });
    const { stem, scores } = writeBackbone(b, layers, backbone, pixels);
    const at = { value: stem, dims: [batch, ...stemDims.slice(1)] };
    return [
      { name: 'main', scores: { value: scores, dims: [batch, classes] } },
      { name: 'branch', scores: findRecipe(branch.recipe)(layers, at, classes, branch.design) },
    ];
  });
}

/** What a student's own scores are softened by when they are to match a teacher's. */
export const studentTemperature = 4;

/**
 * The step of a branch alone on stems [n, c, h, w] of a frozen backbone, with the loss
 * CE(branch) + T^2 KL(backbone || branch), both distributions softened by the temperature T = 4 (Hinton et al. 2015).
 * Where the backbone's scores are far larger than those of a cross-entropy, `temperature` is, too: the branch matches
 * them scaled down, so that both terms of the loss ask for scores of one size.
 */
export function branchStep(
  stemDims: readonly number[],
  branch: BranchChoice,
  how: { readonly temperature: number; readonly realWeights: boolean },
  options: StepOptions,
): TrainingStep {
  const { temperature, realWeights } = how;
  return writeStep('branch', { ...options, realWeights }, (b, layers) => {
    const dims = [options.batch, ...stemDims.slice(1)];
    const stem = shrunk(b, { value: b.input('stem', 'float32', dims), dims }, options.side ?? 1);
    const scores = findRecipe(branch.recipe)(layers, stem, options.classes, branch.design);
    return [{ name: 'branch', scores, matching: { scores: taughtScores(b, options), temperature } }];
  });
}

const taughtScores = (b: GraphBuilder, { batch, classes }: StepOptions): Value =>
  b.input('teacher', 'float32', [batch, classes]);

/** Cross-entropy -mean_n sum_c target log softmax(scores). */
function crossEntropy(b: GraphBuilder, scores: Value, targets: Value): Value {
  const logP = b.op('LogSoftmax', [scores], { axis: 1 });
  return b.neg(b.mean(b.sum(b.mul(logP, targets), [1]), [0]));
}

/** T^2 mean_n KL(softmax(teacher / temperature) || softmax(scores / T)), T the student's own. */
function divergence(b: GraphBuilder, scores: Value, teacher: Value, temperature: number): Value {
  const logSoftmax = (x: Value, by: number) => b.op('LogSoftmax', [b.mul(x, b.scalar(1 / by))], { axis: 1 });
  const logT = logSoftmax(teacher, temperature);
  const apart = b.mul(b.op('Exp', [logT]), b.sub(logT, logSoftmax(scores, studentTemperature)));
  return b.mul(b.mean(b.sum(apart, [1]), [0]), b.scalar(studentTemperature ** 2));
}

/** How many rows have their maximum where the target has. */
function correct(b: GraphBuilder, scores: Value, targets: Value): Value {
  const top = (x: Value) => b.op('ArgMax', [x], { axis: 1, keepdims: 0 });
  return b.sum(b.op('Cast', [b.op('Equal', [top(scores), top(targets)])], { to: 1 }), [0]);
}

function writeStep(
  name: string,
  options: StepOptions & { readonly realWeights?: boolean },
  forward: (b: GraphBuilder, layers: TrainingLayers) => readonly Head[],
): TrainingStep {
  const b = new GraphBuilder(`${name}-step`);
  const targets = b.input('targets', 'float32', [options.batch, options.classes]);
  const rate = b.input('rate', 'float32', []);
  const scalars = new Map(
    Object.keys(options.optimizer.scalars(1)).map((name) => [name, b.input(name, 'float32', [])]),
  );
  const layers = new TrainingLayers(b, options);
  const heads = forward(b, layers).map(({ name, scores: { value }, matching }) => {
    const own = crossEntropy(b, value, targets);
    const loss = matching ? b.add(own, divergence(b, value, matching.scores, matching.temperature)) : own;
    return { name, loss, correct: correct(b, value, targets) };
  });
  const shapes = inferShapes(b.model);
  const total = heads.map(({ loss }) => loss).reduce((sum, loss) => b.add(sum, loss));
  const gradients = differentiate(
    b,
    total,
    layers.parameters.map(({ name }) => name),
    { bounded: new Set(layers.parameters.filter(({ kind }) => kind === 'latent').map(({ name }) => name)) },
  );

  productsOnSmallMaps(b, shapes);

  const state: StateTensor[] = [];
  const keep = (name: string, dims: readonly number[], next: Value) => {
    state.push({ name, dims });
    b.output(next, 'float32', dims, `${name}.next`);
  };
  for (const { name, kind, dims } of layers.parameters) {
    const slots = options.optimizer.slots.map((slot) => b.input(`${name}.${slot}`, 'float32', dims));
    const update = options.optimizer.update(
      b,
      name,
      gradients.get(name)!,
      slots,
      rate,
      (scalar) => scalars.get(scalar)!,
    );
    keep(name, dims, keepInRange(b, kind, name, update.value, rate, options.weightDecay));
    for (const [i, slot] of options.optimizer.slots.entries())
      keep(`${name}.${slot}`, dims, update.slots[i]!);
  }
  for (const { name, dims, batch } of layers.statistics) {
    const kept = b.mul(b.input(name, 'float32', dims), b.scalar(0.9));
    keep(name, dims, b.add(kept, b.mul(batch, b.scalar(0.1))));
  }
  for (const { name, loss, correct } of heads) {
    b.output(loss, 'float32', [], `loss.${name}`);
    b.output(correct, 'float32', [], `correct.${name}`);
  }
  nameOutputs(b.model);
  return {
    model: writeOnnx(b.model),
    heads: heads.map(({ name }) => name),
    parameters: layers.parameters,
    statistics: layers.statistics,
    masks: layers.masks,
    state,
  };
}

type Node = NonNullable<ModelProto['graph']>['node'][number];

/** Gives what a graph's outputs are made of their names, so that no Identity copies a whole state in each step. */
function nameOutputs(model: ModelProto): void {
  const graph = model.graph!;
  const outputs = new Set(graph.output.map(({ name }) => name));
  const made = new Set(
    graph.node.filter(({ opType }) => opType !== 'Identity').flatMap(({ output }) => output),
  );
  const names = new Map<string, string>();
  const copies = new Set<Node>();
  for (const node of graph.node) {
    const [from, to] = [node.input[0]!, node.output[0]!];
    if (node.opType !== 'Identity' || !outputs.has(to) || !made.has(from) || names.has(from)) continue;
    names.set(from, to);
    copies.add(node);
  }
  graph.node = graph.node.filter((node) => !copies.has(node));
  const named = (name: string) => names.get(name) ?? name;
  for (const node of graph.node) {
    node.input = node.input.map(named);
    node.output = node.output.map(named);
  }
}
