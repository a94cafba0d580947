import { type Tensor, TierwiseError, tensor } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import type { Backbone } from '../frozen/backbone.ts';
import type { Weights } from '../layers/inference.ts';
import { optimizers } from '../step/optimizer.ts';
import type { TrainingStep } from '../step/step.ts';
import { freshState, openStep, type State } from '../step/step-runner.ts';
import { emptyBatch, epochOrder, fillBatch } from './batches.ts';
import { type ByHead, type EpochRecord, saveCheckpoint, tensorIn } from './checkpoint.ts';
import { type Phase, phaseOpener } from './phases.ts';
import { rateOf } from './schedule.ts';
import { batchOf, type PhaseKind, type PhaseSettings, type TrainingSettings } from './settings.ts';
import { type Lessons, lessonsOf, type Resumed, standingOf, untouched } from './standing.ts';
import { validate } from './validate.ts';

/** How far a training has come. Epochs and steps are those of the phase; means and shares are over the epoch so far. */
export interface TrainingProgress {
  readonly phase: PhaseKind;
  readonly epoch: number;
  readonly epochs: number;
  /** Sides of the pictures as a share of what they are. */
  readonly side: number;
  readonly step: number;
  readonly steps: number;
  readonly losses: ByHead;
  readonly accuracies: ByHead;
  readonly samplesPerSecond: number;
  /** Until the end of the phase. */
  readonly secondsLeft: number;
}

/** What a training needs beside its settings. */
export interface TrainOptions {
  readonly settings: TrainingSettings;
  readonly data: Dataset;
  /** The network that a branch is trained on, frozen or with it; without one, `settings.network` is a network of ours. */
  readonly backbone?: Backbone;
  /** What `settings.studentOf` names: a network of ours without a branch learns to match its scores. */
  readonly teacher?: Backbone;
  /** Threads of onnxruntime; the result depends on it in the last bits, so it is fixed by default. */
  readonly threads: number;
  /** Where the state is saved every `checkpointSteps` steps, at the end and when `signal` aborts. */
  readonly checkpoint: string;
  readonly checkpointSteps: number;
  /** Go on from `checkpoint` when it is there. */
  readonly resume: boolean;
  /**
   * Checkpoint of another training with the same settings but for the branch: its main network is taken as it is, and
   * only the branch is trained. Branches that are to be compared are so given one and the same network.
   */
  readonly main?: string | undefined;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Told all epochs so far after each, when the checkpoint holds it, or at once when all are done; waited for. */
  readonly onEpoch?: (history: readonly EpochRecord[], settings: TrainingSettings) => Promise<void>;
}

/** What a training has given. */
export interface Trained {
  /** Everything that any phase has trained, and its running statistics. */
  readonly weights: Weights;
  readonly history: readonly EpochRecord[];
}

/**
 * Trains the network that `settings` name, or a branch on a `backbone`, phase by phase, and gives the weights. The same
 * settings, data and threads give the same weights, whether or not the training was interrupted: every random draw is
 * named by seed, epoch and step, and the checkpoint holds all else. Of a backbone only the branch's weights are given
 * (`addBranch` writes them into a graph), after `fineTuning` its own as well (`takeWeights`).
 *
 * @throws TierwiseError TRAINING_DIVERGED when a loss is not finite; CHECKPOINT_INVALID; DATA_CORRUPT when there is one
 *   class only; FILE_UNREADABLE when the checkpoint cannot be written; MODEL_UNSUPPORTED naming the node of a backbone
 *   that cannot be trained; USAGE; CANCELLED after `signal`, with the state saved
 */
export async function train(options: TrainOptions): Promise<Trained> {
  const lessons = lessonsOf(options);
  const open = phaseOpener(options);
  const { weights, history, ...from } = await standingOf(options, open, lessons);
  if (from.index === options.settings.phases.length) await options.onEpoch?.(history, options.settings);
  for (const [index, phase] of options.settings.phases.entries()) {
    if (index < from.index) continue;
    await using opened = await open(phase, weights);
    const resumed = index === from.index ? from.resumed : undefined;
    await runPhase({ options, phase, index, opened, lessons, weights, history, resumed });
  }
  return { weights, history };
}

interface PhaseRun {
  readonly options: TrainOptions;
  readonly phase: PhaseSettings;
  readonly index: number;
  readonly opened: Phase;
  readonly lessons: Lessons;
  /** Of earlier phases; this one's are added at its end. */
  readonly weights: Map<string, Float32Array>;
  /** Each epoch is added. */
  readonly history: EpochRecord[];
  readonly resumed: Resumed | undefined;
}

/** The state of `step` as it was saved, in buffers of its own: steps write into them. */
function restoredState(step: TrainingStep, { tensors }: Resumed, path: string): State {
  return new Map(
    step.state.map((part) => {
      const values = Float32Array.from(tensorIn(tensors, part, path).data);
      return [part.name, tensor('float32', part.dims, values)];
    }),
  );
}

async function runPhase(run: PhaseRun): Promise<void> {
  const { options, phase, opened, weights, history, resumed } = run;
  const { settings, data, checkpoint: path } = options;
  const { seed } = settings;
  const batch = batchOf(settings, phase);
  const { step } = opened;
  const { learnt, held } = run.lessons;
  const stepsPerEpoch = run.lessons.stepsPerEpoch[run.index]!;
  const steps = run.lessons.steps[run.index]!;
  // Draws are named by epochs and steps counted over all phases.
  const sum = (total: number, more: number) => total + more;
  const epochsBefore = settings.phases
    .slice(0, run.index)
    .map(({ epochs }) => epochs)
    .reduce(sum, 0);
  const stepsBefore = run.lessons.steps.slice(0, run.index).reduce(sum, 0);

  const start = resumed ? restoredState(step, resumed, path) : freshState(step, opened.start(), weights);
  const { threads } = options;
  await using runner = await openStep(step, { optimizer: optimizers[phase.optimizer], start, threads });
  const others = untouched(weights, start);
  const none = step.heads.flatMap(() => [0, 0]);
  let running = [...(resumed?.running ?? none)];
  let done = resumed?.step ?? 0;
  const save = () =>
    saveCheckpoint(path, {
      settings,
      phase: run.index,
      step: done,
      history,
      running,
      tensors: new Map<string, Tensor>([...others, ...runner.state]),
    });

  const filled = emptyBatch(data, batch, step.masks);
  // Epochs after whose number all that is drawn for an epoch is named; with views they come again.
  const views = opened.frozen ? settings.views : undefined;
  const drawn = (epoch: number) => (views ? (epochsBefore + epoch) % views : epochsBefore + epoch);

  /** What this phase has trained so far. */
  const trained = (): Map<string, Float32Array> =>
    new Map([...step.parameters, ...step.statistics].map(({ name }) => [name, runner.state.get(name)!.data]));

  let startedAt = performance.now();
  const startedWith = done;
  let epochStartedAt = startedAt;
  let order: Uint32Array | undefined;
  while (done < steps) {
    const epoch = Math.floor(done / stepsPerEpoch);
    const index = done % stepsPerEpoch;
    if (index === 0) running = none;
    if (index === 0 || !order) order = epochOrder(learnt, seed, drawn(epoch));
    const samples = order.subarray(index * batch, (index + 1) * batch);
    const number = views ? drawn(epoch) * stepsPerEpoch + index : stepsBefore + done;
    fillBatch(filled, data, samples, step.masks, settings, number);

    const rate = rateOf(phase, done, stepsPerEpoch);
    const feeds = Object.entries(
      await opened.feeds(filled.pixels, views ? `${batch}: ${number}` : undefined),
    );
    feeds.push(['targets', filled.targets]);
    for (const [i, mask] of filled.masks.entries()) feeds.push([step.masks[i]!.name, mask]);
    const reached = await runner.run(feeds, rate, done + 1);
    done++;

    if (!reached.every(({ loss }) => Number.isFinite(loss)))
      throw new TierwiseError(
        'TRAINING_DIVERGED',
        `step ${done} of phase ${phase.kind}: the loss is ${reached.map(({ loss }, i) => `${loss} (${step.heads[i]})`).join(', ')}`,
        { step: done, phase: phase.kind },
      );
    const values = reached.flatMap(({ loss, correct }) => [loss, correct]);
    running = running.map((sum, i) => sum + values[i]!);
    const seen = index + 1;
    const byHead = (of: (i: number) => number): ByHead =>
      Object.fromEntries(step.heads.map((head, i) => [head, of(i)]));
    const losses = byHead((i) => running[2 * i]! / seen);
    const accuracies = byHead((i) => running[2 * i + 1]! / (seen * batch));
    const perSecond = ((done - startedWith) * batch) / ((performance.now() - startedAt) / 1000);
    options.onProgress?.({
      phase: phase.kind,
      epoch: epoch + 1,
      epochs: phase.epochs,
      side: phase.side ?? 1,
      step: done,
      steps,
      losses,
      accuracies,
      samplesPerSecond: perSecond,
      secondsLeft: ((steps - done) * batch) / perSecond,
    });
    if (seen === stepsPerEpoch) {
      const ended = performance.now();
      const heldBack =
        opened.deployed &&
        (await validate(opened.deployed(new Map([...weights, ...trained()])), data, held, threads));
      const { kind, side } = phase;
      history.push({
        phase: kind,
        epoch: epoch + 1,
        ...(side === undefined ? {} : { side }),
        losses,
        accuracies,
        ...(heldBack && { heldBack }),
        rate,
        seconds: (ended - epochStartedAt) / 1000,
      });
      epochStartedAt = performance.now();
      startedAt += epochStartedAt - ended;
    }
    const aborted = options.signal?.aborted === true;
    const isEnd = seen === stepsPerEpoch;
    if (aborted || isEnd || done % options.checkpointSteps === 0) await save();
    if (isEnd) await options.onEpoch?.(history, settings);
    if (aborted)
      throw new TierwiseError(
        'CANCELLED',
        `training stopped after ${done} of ${steps} steps of phase ${phase.kind}; --resume goes on from there`,
        { step: done, phase: phase.kind },
      );
  }
  for (const name of runner.state.keys()) weights.delete(name);
  for (const [name, values] of trained()) weights.set(name, values);
}
