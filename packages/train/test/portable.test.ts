import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors, type Tensor, tensor, writeSafetensors } from '@tierwise/core';
import { readOnnx, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findNetwork, mirrorOf } from '../src/networks/index.ts';
import { emptyBatch, epochOrder, fillBatch, holdBack } from '../src/training/batches.ts';
import { backboneOf } from '../src/training/phases.ts';
import { type PortablePlan, writePortableStep } from '../src/training/portable.ts';
import type { PhaseSettings, TrainingSettings } from '../src/training/settings.ts';
import { train } from '../src/training/trainer.ts';
import { fingerprints } from './fingerprints.ts';
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

const own = { data, settings, threads: 2, checkpointSteps: 100 };

/** Runs steps of a phase up to `end` knowing nothing but the files; batches are drawn as ours are, `before` steps after the first. */
async function elsewhere(folder: string, end: number, before = 0): Promise<PortablePlan> {
  const plan = JSON.parse(await readFile(join(folder, 'plan.json'), 'utf8')) as PortablePlan;
  const { tensors, metadata } = readSafetensors(new Uint8Array(await readFile(plan.checkpoint)));
  const open = async (file: string) =>
    openSession(new Uint8Array(await readFile(join(folder, file))), { threads: 2 });
  const session = await open('step.onnx');
  const backbone = plan.backbone ? await open('backbone.onnx') : undefined;
  const { train: learnt } = holdBack(data.samples, settings.holdout, settings.seed);
  const batch = emptyBatch(data, settings.batch, plan.masks);
  let state = new Map(plan.state.map((name) => [name, tensors.get(name)!]));
  for (let step = plan.step; step < end; step++) {
    const drawn = before + step;
    const order = epochOrder(learnt, settings.seed, Math.floor(drawn / plan.stepsPerEpoch));
    const at = (drawn % plan.stepsPerEpoch) * settings.batch;
    fillBatch(batch, data, order.subarray(at, at + settings.batch), plan.masks, settings, drawn);
    const pixels = new Map<string, Tensor>([['pixels', batch.pixels]]);
    const made = new Map<string, Tensor>([...pixels, ...((await backbone?.run(pixels)) ?? [])]);
    const feeds = new Map([
      ...state,
      ...plan.lessons.map((name): [string, Tensor] => [name, made.get(name)!]),
    ]);
    feeds.set('targets', batch.targets);
    for (const [i, { name }] of plan.masks.entries()) feeds.set(name, batch.masks[i]!);
    for (const [name, values] of Object.entries(plan.scalars))
      feeds.set(name, tensor('float32', [], Float32Array.of(values[step]!)));
    const outputs = await session.run(feeds);
    for (const name of plan.metrics) expect(Number.isFinite(outputs.get(name)!.data[0])).toBe(true);
    state = new Map(plan.state.map((name) => [name, outputs.get(`${name}.next`)!]));
  }
  await session.dispose();
  await backbone?.dispose();
  const training = JSON.stringify({ ...JSON.parse(metadata['training']!), step: end });
  await writeFile(
    plan.checkpoint,
    writeSafetensors(new Map([...tensors, ...state]), { ...metadata, training }),
  );
  return plan;
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-portable-'));
});
afterEach(() => rm(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

test('a phase that another program begins ends with the same weights', async () => {
  const whole = await train({ ...own, checkpoint: at('whole.safetensors'), resume: false });
  const shared = { ...own, checkpoint: at('shared.safetensors') };
  const plan = await writePortableStep(folder, { ...shared, resume: false });
  expect(plan).toMatchObject({ phase: 'joint', step: 0, steps: 10, lessons: ['pixels'], backbone: false });
  expect(plan.samples).toHaveLength(100);
  await elsewhere(folder, 7);
  const { weights } = await train({ ...shared, resume: true });
  expect(fingerprints(weights)).toEqual(fingerprints(whole.weights));
});

const phase = (kind: PhaseSettings['kind']): PhaseSettings => ({ ...settings.phases[0]!, kind, epochs: 1 });
const mainFirst = { ...settings, phases: [phase('main'), phase('branch-real'), phase('branch')] };

test('so does a training whose every phase another program runs, of the branch on the frozen network too', async () => {
  const whole = await train({
    ...own,
    settings: mainFirst,
    checkpoint: at('whole.safetensors'),
    resume: false,
  });
  const shared = { ...own, settings: mainFirst, checkpoint: at('shared.safetensors') };
  const phases = [];
  for (const [i, { kind }] of mainFirst.phases.entries()) {
    const plan = await writePortableStep(folder, { ...shared, resume: i > 0 });
    phases.push({ phase: plan.phase, backbone: plan.backbone });
    await elsewhere(folder, 5, 5 * i);
    expect((await readdir(folder)).includes('backbone.onnx'), kind).toBe(plan.backbone);
  }
  expect(phases).toEqual([
    { phase: 'main', backbone: false },
    { phase: 'branch-real', backbone: true },
    { phase: 'branch', backbone: true },
  ]);
  const { weights } = await train({ ...shared, resume: true });
  expect(fingerprints(weights)).toEqual(fingerprints(whole.weights));
  await expect(writePortableStep(folder, { ...shared, resume: true })).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringContaining('done'),
  });
});

test('so does a network that learns from another one', async () => {
  const main = { ...settings, phases: [phase('main')] };
  const { weights } = await train({
    ...own,
    settings: main,
    checkpoint: at('main.safetensors'),
    resume: false,
  });
  const taught = {
    ...own,
    settings: { ...main, network: 'lenet-narrow', studentOf: { bundle: 'main.tierwise', digest: 'd' } },
    teacher: backboneOf(findNetwork('lenet'), weights, data.classes.length),
  };
  const whole = await train({ ...taught, checkpoint: at('whole.safetensors'), resume: false });
  const shared = { ...taught, checkpoint: at('shared.safetensors') };
  const plan = await writePortableStep(folder, { ...shared, resume: false });
  expect(plan).toMatchObject({ phase: 'main', lessons: ['pixels', 'teacher'], backbone: true });
  await elsewhere(folder, 5);
  const { weights: student } = await train({ ...shared, resume: true });
  expect(fingerprints(student)).toEqual(fingerprints(whole.weights));
});

test('a phase under way goes on elsewhere where it stands', async () => {
  const whole = await train({ ...own, checkpoint: at('whole.safetensors'), resume: false });
  const shared = { ...own, checkpoint: at('shared.safetensors') };
  const stop = new AbortController();
  const begun = train({
    ...shared,
    resume: false,
    signal: stop.signal,
    onProgress: ({ step }) => step === 4 && stop.abort(),
  });
  await expect(begun).rejects.toMatchObject({ code: 'CANCELLED' });
  expect((await writePortableStep(folder, { ...shared, resume: true })).step).toBe(4);
  await elsewhere(folder, 10);
  expect(fingerprints((await train({ ...shared, resume: true })).weights)).toEqual(
    fingerprints(whole.weights),
  );
});

test('a network that takes one picture at a time is refused with what to do', async () => {
  const { weights } = await train({
    ...own,
    settings: { ...settings, phases: [phase('main')] },
    checkpoint: at('main.safetensors'),
    resume: false,
  });
  const backbone = backboneOf(findNetwork('lenet'), weights, data.classes.length);
  const single = readOnnx(writeOnnx(backbone.model));
  const type = single.graph!.input[0]!.type!.value;
  if (type.case === 'tensorType') type.value.shape!.dim[0]!.value = { case: 'dimValue', value: 1n };
  const refused = writePortableStep(folder, {
    ...own,
    settings: { ...settings, phases: [phase('branch')] },
    backbone: { ...backbone, model: single },
    checkpoint: at('branch.safetensors'),
    resume: false,
  });
  await expect(refused).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringContaining('--batch 1'),
  });
});
