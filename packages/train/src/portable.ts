import { join } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import { emptyBatch, holdBack, startingValues } from './batches.ts';
import { saveCheckpoint } from './checkpoint.ts';
import { writeFileWhole } from './files.ts';
import { optimizers } from './optimizer.ts';
import { phasesOfNetwork } from './phases.ts';
import { cosineRate } from './schedule.ts';
import type { TrainingSettings } from './settings.ts';
import { freshState } from './step-runner.ts';

/** What a program has to know to run `step.onnx`; written as `plan.json` beside it. */
export interface PortablePlan {
  readonly phase: string;
  readonly steps: number;
  readonly stepsPerEpoch: number;
  /** The file with the state, which the program writes anew: safetensors; what to change in its metadata. */
  readonly checkpoint: string;
  /** Which of the training samples may be learnt from, in the order of the data set; the others choose the threshold. */
  readonly samples: readonly number[];
  /** Shapes of what a step learns from: pixels 0..255 NCHW, and rows that sum to 1. */
  readonly pixels: { readonly dtype: 'uint8'; readonly dims: readonly number[] };
  readonly targets: { readonly dtype: 'float32'; readonly dims: readonly number[] };
  /** Dropout: float32, each element 0 with probability `rate`, else 1 / (1 - rate), drawn for each step. */
  readonly masks: readonly {
    readonly name: string;
    readonly dims: readonly number[];
    readonly rate: number;
  }[];
  /** Inputs whose next values are the outputs `NAME.next`. */
  readonly state: readonly string[];
  /** Scalar inputs (float32, no dims): a value for each step. */
  readonly scalars: Readonly<Record<string, readonly number[]>>;
  /** Scalar outputs to watch. */
  readonly metrics: readonly string[];
}

/**
 * Writes the first phase of a training so that any program with ONNX Runtime, in any language and on any of its devices,
 * can run it: `folder/step.onnx`, `folder/plan.json`, and the checkpoint at step 0. The program writes the state back
 * into the checkpoint with the number of its steps, and `train` with `resume` goes on from there. docs/portable-step.md
 * has such a program.
 * @throws TierwiseError USAGE for a phase that needs a frozen network beside the step; FILE_UNREADABLE
 */
export async function writePortableStep(
  folder: string,
  options: { readonly settings: TrainingSettings; readonly data: Dataset; readonly checkpoint: string },
): Promise<PortablePlan> {
  const { settings, data, checkpoint } = options;
  const [phase] = settings.phases;
  if (phase?.kind !== 'joint' && phase?.kind !== 'main')
    throw new TierwiseError('USAGE', `the phase "${phase?.kind}" cannot be trained elsewhere`);
  const learnt = holdBack(data.samples, settings.holdout, settings.seed).train.toSorted();
  const stepsPerEpoch = Math.floor(learnt.length / settings.batch);
  const steps = stepsPerEpoch * phase.epochs;
  const open = phasesOfNetwork({ settings, classes: data.classes.length, threads: 1 });
  await using opened = await open(phase, new Map());
  const { step } = opened;
  const batch = emptyBatch(data, settings.batch, step.masks);
  const optimizer = optimizers[phase.optimizer];
  const each = <T>(value: (done: number) => T) => Array.from({ length: steps }, (_, done) => value(done));
  const scalars = Object.keys(optimizer.scalars(1)).map(
    (name) => [name, each((done) => optimizer.scalars(done + 1)[name]!)] as const,
  );
  const plan: PortablePlan = {
    phase: phase.kind,
    steps,
    stepsPerEpoch,
    checkpoint,
    samples: [...learnt],
    pixels: { dtype: 'uint8', dims: batch.pixels.dims },
    targets: { dtype: 'float32', dims: batch.targets.dims },
    masks: step.masks.map(({ name, dims, rate }) => ({ name, dims, rate })),
    state: step.state.map(({ name }) => name),
    scalars: {
      rate: each((done) => cosineRate(phase.peakRate, done, steps, phase.warmup)),
      ...Object.fromEntries(scalars),
    },
    metrics: step.heads.flatMap((head) => [`loss.${head}`, `correct.${head}`]),
  };
  await saveCheckpoint(checkpoint, {
    settings,
    phase: 0,
    step: 0,
    history: [],
    running: plan.metrics.map(() => 0),
    tensors: freshState(step, startingValues(step, settings.seed)),
  });
  await writeFileWhole(join(folder, 'step.onnx'), step.model);
  await writeFileWhole(join(folder, 'plan.json'), new TextEncoder().encode(`${JSON.stringify(plan)}\n`));
  return plan;
}
