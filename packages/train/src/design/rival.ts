import { softmax, type Tensor, TierwiseError, tensor } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import { type ModelProto, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import { exportMain, ports } from '../networks/export.ts';
import type { Network } from '../networks/index.ts';
import { startingValues } from '../start/drawn.ts';
import { optimizers } from '../step/optimizer.ts';
import { networkStep } from '../step/step.ts';
import { freshState, openStep } from '../step/step-runner.ts';
import { emptyBatch, epochOrder, fillBatch, holdBack } from '../training/batches.ts';
import { cosineRate } from '../training/schedule.ts';
import { augmentationFor } from '../training/settings.ts';

/** How a network is trained that a composite is compared with. */
export interface RivalOptions {
  readonly network: Network;
  readonly data: Dataset;
  readonly epochs: number;
  readonly seed: number;
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: { readonly step: number; readonly steps: number }) => void;
  /** A network that takes pixels and gives scores, whose answers are learnt besides the labels. */
  readonly teacher?: ModelProto;
}

/** Both sides of the teacher's answers: how far they are softened, and their share of the targets. */
const temperature = 2;
const teacherShare = 0.5;

/**
 * Trains a small network of full precision without a branch, as the composite's rivals are: alone, or as the student of
 * a `teacher` (knowledge distillation after Hinton et al. 2015; the targets are the mean of labels and softened answers).
 * It takes minutes, so there is no checkpoint. Gives its graph, from `pixels` to `scores`.
 * @throws TierwiseError TRAINING_DIVERGED, CANCELLED
 */
export async function trainRival(options: RivalOptions): Promise<ModelProto> {
  const { network, data, epochs, seed, threads, signal } = options;
  const { batch, weightDecay, peakRate, optimizer: name } = network.training;
  const optimizer = optimizers[name];
  const classes = data.classes.length;
  const step = networkStep(network, undefined, { batch, classes, optimizer, weightDecay });
  const start = freshState(step, startingValues(step, seed, 'parameters'));
  await using runner = await openStep(step, { optimizer, start, threads });
  const teacher = options.teacher && (await openSession(writeOnnx(options.teacher), { threads }));
  try {
    const learnt = holdBack(data.samples, 0, seed).train;
    const perEpoch = Math.floor(learnt.length / batch);
    const steps = perEpoch * epochs;
    const filled = emptyBatch(data, batch, step.masks);
    const settings = { augmentation: augmentationFor(data.name), smoothing: 0, seed };
    for (let done = 0; done < steps; done++) {
      if (signal.aborted) throw new TierwiseError('CANCELLED', 'training was cancelled');
      const order = epochOrder(learnt, seed, Math.floor(done / perEpoch));
      const at = (done % perEpoch) * batch;
      fillBatch(filled, data, order.subarray(at, at + batch), step.masks, settings, done);
      if (teacher) {
        const pixels = tensor('float32', filled.pixels.dims, Float32Array.from(filled.pixels.data));
        const answers = await teacher.run(new Map([[ports.input, pixels]]));
        mixTargets(filled.targets.data, answers.get(ports.main)!, classes);
      }
      const feeds: [string, Tensor][] = [
        ['pixels', filled.pixels],
        ['targets', filled.targets],
        ...filled.masks.map((mask, i): [string, Tensor] => [step.masks[i]!.name, mask]),
      ];
      const rate = cosineRate(peakRate, done, steps, Math.min(200, Math.ceil(steps / 5)));
      const [head] = await runner.run(feeds, rate, done + 1);
      if (!Number.isFinite(head!.loss))
        throw new TierwiseError('TRAINING_DIVERGED', `step ${done + 1}: the loss is ${head!.loss}`);
      options.onProgress({ step: done + 1, steps });
    }
    const weights = new Map([...runner.state].map(([key, { data: values }]) => [key, values]));
    return exportMain(network, weights, classes).model;
  } finally {
    await teacher?.dispose();
  }
}

function mixTargets(targets: Float32Array, scores: Tensor, classes: number): void {
  const values = scores.data as Float32Array;
  for (let row = 0; row < targets.length; row += classes) {
    const soft = softmax(values.subarray(row, row + classes).map((score) => score / temperature));
    for (let c = 0; c < classes; c++)
      targets[row + c] = (1 - teacherShare) * targets[row + c]! + teacherShare * soft[c]!;
  }
}
