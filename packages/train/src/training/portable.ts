import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Tensor, TierwiseError } from '@tierwise/core';
import { GraphBuilder, readOnnx, writeOnnx } from '@tierwise/graph';
import { writeFileWhole } from '../files.ts';
import { type Backbone, fixedBatch } from '../frozen/backbone.ts';
import { writeBackbone } from '../frozen/backbone-training.ts';
import { optimizers } from '../step/optimizer.ts';
import { freshState } from '../step/step-runner.ts';
import { emptyBatch } from './batches.ts';
import { saveCheckpoint } from './checkpoint.ts';
import { phaseOpener } from './phases.ts';
import { rateOf } from './schedule.ts';
import { batchOf } from './settings.ts';
import { lessonsOf, standingOf, untouched } from './standing.ts';
import type { TrainOptions } from './trainer.ts';

/** What a program has to know to run `step.onnx`; written as `plan.json` beside it. */
export interface PortablePlan {
  readonly phase: string;
  /** Steps done before; the first one to run. */
  readonly step: number;
  /** Steps of the whole phase. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
  /** The file with the state, which the program writes anew: safetensors; what to change in its metadata. */
  readonly checkpoint: string;
  /** Which inputs the step learns from: of `pixels` and what `backbone.onnx` makes of them, `stem` and `teacher`. */
  readonly lessons: readonly string[];
  /** Whether there is a `backbone.onnx`. */
  readonly backbone: boolean;
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
 * Writes the phase that comes next in a training so that any program with ONNX Runtime, in any language and on any of its
 * devices, can run it: `folder/step.onnx`, `folder/plan.json`, for a branch `folder/backbone.onnx`, and the checkpoint.
 * The program writes the state back into the checkpoint with the number of its steps, and `train` with `resume` goes on
 * from there. docs/portable-step.md has such a program.
 * @throws TierwiseError USAGE when the training is done, or the network that a branch learns from takes another number of
 *   pictures at once; else as `train`
 */
export async function writePortableStep(
  folder: string,
  options: Omit<TrainOptions, 'checkpointSteps' | 'signal' | 'onProgress' | 'onEpoch'>,
): Promise<PortablePlan> {
  const { settings, data, checkpoint } = options;
  const lessons = lessonsOf(options);
  const open = phaseOpener(options);
  const { index, resumed, weights, history } = await standingOf(options, open, lessons);
  const phase = settings.phases[index];
  if (!phase)
    throw new TierwiseError(
      'USAGE',
      `${checkpoint}: this training is done; without --export-step, --resume writes what it has made`,
    );
  await using opened = await open(phase, weights);
  const { step, frozen } = opened;
  const batch = emptyBatch(data, batchOf(settings, phase), step.masks);
  const steps = lessons.steps[index]!;
  const optimizer = optimizers[phase.optimizer];
  const each = <T>(value: (done: number) => T) => Array.from({ length: steps }, (_, done) => value(done));
  const scalars = Object.keys(optimizer.scalars(1)).map(
    (name) => [name, each((done) => optimizer.scalars(done + 1)[name]!)] as const,
  );
  const plan: PortablePlan = {
    phase: phase.kind,
    step: resumed?.step ?? 0,
    steps,
    stepsPerEpoch: lessons.stepsPerEpoch[index]!,
    checkpoint,
    lessons: lessonsIn(step.model),
    backbone: frozen !== undefined,
    samples: [...lessons.learnt.toSorted()],
    pixels: { dtype: 'uint8', dims: batch.pixels.dims },
    targets: { dtype: 'float32', dims: batch.targets.dims },
    masks: step.masks.map(({ name, dims, rate }) => ({ name, dims, rate })),
    state: step.state.map(({ name }) => name),
    scalars: {
      rate: each((done) => rateOf(phase, done, lessons.stepsPerEpoch[index]!)),
      ...Object.fromEntries(scalars),
    },
    metrics: step.heads.flatMap((head) => [`loss.${head}`, `correct.${head}`]),
  };
  if (frozen) await writeFileWhole(join(folder, 'backbone.onnx'), frozenOnPixels(frozen, batch.pixels.dims));
  else await rm(join(folder, 'backbone.onnx'), { force: true });
  if (!resumed) {
    const state = freshState(step, opened.start(), weights);
    await saveCheckpoint(checkpoint, {
      settings,
      phase: index,
      step: 0,
      history,
      running: plan.metrics.map(() => 0),
      tensors: new Map<string, Tensor>([...untouched(weights, state), ...state]),
    });
  }
  await writeFileWhole(join(folder, 'step.onnx'), step.model);
  await writeFileWhole(join(folder, 'plan.json'), new TextEncoder().encode(`${JSON.stringify(plan)}\n`));
  return plan;
}

function lessonsIn(step: Uint8Array): string[] {
  const inputs = readOnnx(step).graph!.input.map(({ name }) => name);
  return ['pixels', 'stem', 'teacher'].filter((lesson) => inputs.includes(lesson));
}

/** `backbone` as one file: `pixels` uint8 `dims` in, `stem` and `teacher` out. */
function frozenOnPixels(backbone: Backbone, dims: readonly number[]): Uint8Array {
  const { model, ports } = backbone;
  const atOnce = fixedBatch(model, ports.input) ?? dims[0];
  if (atOnce !== dims[0])
    throw new TierwiseError(
      'USAGE',
      `the network takes ${atOnce} pictures at once: give --batch ${atOnce}, or export it with an open batch`,
      { batch: dims[0] },
    );
  const b = new GraphBuilder('backbone');
  const pixels = b.op('Cast', [b.input('pixels', 'uint8', dims)], { to: 1 });
  const { stem, scores } = writeBackbone(b, undefined, backbone, pixels);
  // Sizes are left open: who made the network said what they are.
  b.output(stem, 'float32', [dims[0]!, 'c', 'h', 'w'], 'stem');
  b.output(scores, 'float32', [dims[0]!, 'classes'], 'teacher');
  return writeOnnx(b.model);
}
