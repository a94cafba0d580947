import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors, type Tensor, tensor, writeSafetensors } from '@tierwise/core';
import { openSession } from '@tierwise/ort';
import { expect, test } from 'vitest';
import { emptyBatch, epochOrder, fillBatch, holdBack } from '../src/batches.ts';
import { findNetwork } from '../src/networks/index.ts';
import { type PortablePlan, writePortableStep } from '../src/portable.ts';
import { mirrorOf, type TrainingSettings } from '../src/settings.ts';
import { train } from '../src/trainer.ts';
import { tinyData } from './tiny-data.ts';

const data = tinyData(120, 3);
const settings: TrainingSettings = {
  network: 'lenet',
  data: 'tiny',
  samples: data.samples,
  holdout: 20,
  batch: 20,
  ...mirrorOf(findNetwork('lenet')),
  phases: [{ kind: 'joint', epochs: 2, optimizer: 'adam', peakRate: 2e-3, warmup: 4, weightDecay: 1e-4 }],
  temperature: 4,
  augmentation: { shift: 1, flip: false, cutout: 0 },
  smoothing: 0,
  seed: 5,
};

/** Runs the first `steps` steps knowing nothing but the files; `feed` gives pixels, targets and masks of a step. */
async function elsewhere(folder: string, steps: number, feed: (step: number) => Tensor[]): Promise<void> {
  const plan = JSON.parse(await readFile(join(folder, 'plan.json'), 'utf8')) as PortablePlan;
  const { tensors, metadata } = readSafetensors(new Uint8Array(await readFile(plan.checkpoint)));
  const session = await openSession(new Uint8Array(await readFile(join(folder, 'step.onnx'))), {
    threads: 2,
  });
  let state = new Map(plan.state.map((name) => [name, tensors.get(name)!]));
  for (let step = 0; step < steps; step++) {
    const feeds = new Map<string, Tensor>(state);
    const names = ['pixels', 'targets', ...plan.masks.map(({ name }) => name)];
    for (const [i, value] of feed(step).entries()) feeds.set(names[i]!, value);
    for (const [name, values] of Object.entries(plan.scalars))
      feeds.set(name, tensor('float32', [], Float32Array.of(values[step]!)));
    const outputs = await session.run(feeds);
    for (const name of plan.metrics) expect(Number.isFinite(outputs.get(name)!.data[0])).toBe(true);
    state = new Map(plan.state.map((name) => [name, outputs.get(`${name}.next`)!]));
  }
  await session.dispose();
  const training = JSON.stringify({ ...JSON.parse(metadata['training']!), step: steps });
  await writeFile(plan.checkpoint, writeSafetensors(state, { ...metadata, training }));
}

test('a phase that another program begins ends with the same weights', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tierwise-portable-'));
  try {
    const own = { data, settings, threads: 2, checkpointSteps: 100, resume: true };
    const whole = await train({ ...own, checkpoint: join(folder, 'whole.safetensors') });
    const checkpoint = join(folder, 'shared.safetensors');
    const plan = await writePortableStep(folder, { settings, data, checkpoint });
    expect(plan.steps).toBe(10);
    expect(plan.samples).toHaveLength(100);
    const { train: learnt } = holdBack(data.samples, settings.holdout, settings.seed);
    await elsewhere(folder, 7, (step) => {
      const batch = emptyBatch(data, settings.batch, plan.masks);
      const order = epochOrder(learnt, settings.seed, Math.floor(step / plan.stepsPerEpoch));
      const at = (step % plan.stepsPerEpoch) * settings.batch;
      fillBatch(batch, data, order.subarray(at, at + settings.batch), plan.masks, settings, step);
      return [batch.pixels, batch.targets, ...batch.masks];
    });
    const shared = await train({ ...own, checkpoint });
    expect(shared.weights).toEqual(whole.weights);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a branch phase alone is refused: it needs the frozen network beside it', async () => {
  const branch = { ...settings, phases: [{ ...settings.phases[0]!, kind: 'branch' as const }] };
  await expect(
    writePortableStep('nowhere', { settings: branch, data, checkpoint: 'x' }),
  ).rejects.toMatchObject({
    code: 'USAGE',
  });
});
