import { type Tensor, TierwiseError, tensor } from '@tierwise/core';
import { type OrtSession, openSession } from '@tierwise/ort';
import { augment, drawMask, epochOrder, holdBack, oneHot, parameterStream } from './batches.ts';
import {
  type Checkpoint,
  type EpochRecord,
  loadCheckpoint,
  saveCheckpoint,
  type TrainingSettings,
} from './checkpoint.ts';
import type { Dataset } from './data/index.ts';
import type { Weights } from './layers/inference.ts';
import { findNetwork } from './networks/index.ts';
import { optimizers } from './optimizer.ts';
import { cosineRate } from './schedule.ts';
import { type TrainingStep, trainingStep } from './step.ts';

/** How far a training has come. Means and shares are over the epoch so far. */
export interface TrainingProgress {
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  readonly steps: number;
  readonly lossMain: number;
  readonly lossBranch: number;
  readonly accuracyMain: number;
  readonly accuracyBranch: number;
  readonly samplesPerSecond: number;
  readonly secondsLeft: number;
}

export interface TrainOptions {
  readonly settings: TrainingSettings;
  readonly data: Dataset;
  /** Threads of onnxruntime; the result depends on it in the last bits, so it is fixed by default. */
  readonly threads: number;
  /** Where the state is saved every `checkpointSteps` steps, at the end and when `signal` aborts. */
  readonly checkpoint: string;
  readonly checkpointSteps: number;
  /** Go on from `checkpoint` when it is there. */
  readonly resume: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TrainingProgress) => void;
}

export interface Trained {
  readonly weights: Weights;
  readonly history: readonly EpochRecord[];
}

type State = Map<string, Tensor<'float32'>>;

const scalarTensor = (value: number) => tensor('float32', [], Float32Array.of(value));

/** Zeros but for parameters, which their own streams start, and running variances. */
function freshState(step: TrainingStep, seed: number): State {
  const state: State = new Map(
    step.state.map(({ name, dims }) => [
      name,
      tensor('float32', dims, new Float32Array(dims.reduce((a, d) => a * d, 1))),
    ]),
  );
  for (const [i, parameter] of step.parameters.entries())
    state.get(parameter.name)!.data.set(parameter.init(parameterStream(seed, i)));
  for (const { name, start } of step.statistics) state.get(name)!.data.fill(start);
  return state;
}

function restoreState(state: State, checkpoint: Checkpoint, path: string): void {
  for (const [name, { data, dims }] of state) {
    const saved = checkpoint.tensors.get(name);
    if (saved?.dtype !== 'float32' || saved.dims.join() !== dims.join())
      throw new TierwiseError('CHECKPOINT_INVALID', `${path}: ${name} is missing or not float32 [${dims}]`, {
        file: path,
        tensor: name,
      });
    data.set(saved.data as Float32Array);
  }
}

/**
 * Trains a composite with the joint loss and gives its weights. The same settings, data and threads give the same
 * weights, whether or not the training was interrupted: every random draw is named by seed, epoch and step, and
 * the checkpoint holds all else.
 *
 * @throws TierwiseError TRAINING_DIVERGED when a loss is not finite; CHECKPOINT_INVALID; CANCELLED after `signal`,
 *   with the state saved
 */
export async function train(options: TrainOptions): Promise<Trained> {
  const { settings, data } = options;
  const network = findNetwork(settings.network);
  const { batch, seed } = settings;
  const step = trainingStep(network, {
    batch,
    classes: data.classes.length,
    optimizer: optimizers[settings.optimizer as 'adam' | 'sgd'],
    weightDecay: settings.weightDecay,
  });
  const session = await openSession(step.model, { threads: options.threads });
  try {
    return await run(options, step, session, { train: holdBack(data.samples, settings.holdout, seed).train });
  } finally {
    await session.dispose();
  }
}

async function run(
  options: TrainOptions,
  step: TrainingStep,
  session: OrtSession,
  split: { train: Uint32Array },
): Promise<Trained> {
  const { settings, data, checkpoint: path } = options;
  const { batch, epochs, seed } = settings;
  const stepsPerEpoch = Math.floor(split.train.length / batch);
  const steps = stepsPerEpoch * epochs;
  let state = freshState(step, seed);
  let next: State = new Map(
    [...state].map(([name, t]) => [name, tensor('float32', t.dims, new Float32Array(t.data.length))]),
  );
  const saved = options.resume ? await loadCheckpoint(path, settings) : undefined;
  if (saved) restoreState(state, saved, path);
  const history = [...(saved?.history ?? [])];
  let running = [...(saved?.running ?? [0, 0, 0, 0])];
  let done = saved?.step ?? 0;
  const save = () => saveCheckpoint(path, { settings, step: done, history, running, tensors: state });

  const { channels, height, width, classes } = data;
  const pixels = tensor(
    'uint8',
    [batch, channels, height, width],
    new Uint8Array(batch * channels * height * width),
  );
  const targets = tensor('float32', [batch, classes.length], new Float32Array(batch * classes.length));
  const masks = step.masks.map((mask) =>
    tensor('float32', mask.dims, new Float32Array(mask.dims.reduce((a, d) => a * d, 1))),
  );
  const optimizer = optimizers[settings.optimizer as 'adam' | 'sgd'];
  const metrics = ['loss.main', 'loss.branch', 'correct.main', 'correct.branch'];

  const startedAt = performance.now();
  const startedWith = done;
  let epochStartedAt = startedAt;
  let order: Uint32Array | undefined;
  while (done < steps) {
    const epoch = Math.floor(done / stepsPerEpoch);
    const index = done % stepsPerEpoch;
    if (index === 0) running = [0, 0, 0, 0];
    if (index === 0 || !order) order = epochOrder(split.train, seed, epoch);
    const samples = order.subarray(index * batch, (index + 1) * batch);
    augment(data, samples, settings, done, pixels.data);
    oneHot(data, samples, targets.data);
    for (const [i, mask] of masks.entries()) drawMask(step.masks[i]!, i, seed, done, mask.data);

    const feeds = new Map<string, Tensor>(state);
    feeds
      .set('pixels', pixels)
      .set('targets', targets)
      .set('rate', scalarTensor(cosineRate(settings.peakRate, done, steps, settings.warmup)));
    for (const [name, value] of Object.entries(optimizer.scalars(done + 1)))
      feeds.set(name, scalarTensor(value));
    for (const [i, mask] of masks.entries()) feeds.set(step.masks[i]!.name, mask);
    const fetches = new Map<string, Tensor | null>([...next].map(([name, t]) => [`${name}.next`, t]));
    for (const name of metrics) fetches.set(name, null);
    const outputs = await session.run(feeds, fetches);
    [state, next] = [next, state];
    done++;

    const values = metrics.map((name) => Number(outputs.get(name)!.data[0]));
    if (!values.every(Number.isFinite))
      throw new TierwiseError(
        'TRAINING_DIVERGED',
        `step ${done}: the loss is ${values[0]} (main), ${values[1]} (branch)`,
        { step: done },
      );
    running = running.map((sum, i) => sum + values[i]!);
    const seen = index + 1;
    const [lossMain, lossBranch, accuracyMain, accuracyBranch] = [
      running[0]! / seen,
      running[1]! / seen,
      running[2]! / (seen * batch),
      running[3]! / (seen * batch),
    ];
    const perSecond = ((done - startedWith) * batch) / ((performance.now() - startedAt) / 1000);
    options.onProgress?.({
      epoch: epoch + 1,
      epochs,
      step: done,
      steps,
      lossMain,
      lossBranch,
      accuracyMain,
      accuracyBranch,
      samplesPerSecond: perSecond,
      secondsLeft: ((steps - done) * batch) / perSecond,
    });
    if (seen === stepsPerEpoch) {
      history.push({
        epoch: epoch + 1,
        lossMain,
        lossBranch,
        accuracyMain,
        accuracyBranch,
        seconds: (performance.now() - epochStartedAt) / 1000,
      });
      epochStartedAt = performance.now();
    }
    const aborted = options.signal?.aborted === true;
    if (aborted || seen === stepsPerEpoch || done % options.checkpointSteps === 0) await save();
    if (aborted)
      throw new TierwiseError(
        'CANCELLED',
        `training stopped after ${done} of ${steps} steps; --resume goes on from there`,
        { step: done },
      );
  }
  return { weights: new Map([...state].map(([name, t]) => [name, t.data])), history };
}
