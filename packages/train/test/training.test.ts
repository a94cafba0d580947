import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSafetensors } from '@tierwise/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TrainingSettings } from '../src/checkpoint.ts';
import { type TrainOptions, train } from '../src/trainer.ts';
import { tinyData } from './tiny-data.ts';

const data = tinyData(260, 1);
const settings: TrainingSettings = {
  network: 'lenet',
  data: 'tiny',
  samples: data.samples,
  holdout: 60,
  epochs: 3,
  batch: 20,
  optimizer: 'adam',
  peakRate: 2e-3,
  warmup: 4,
  weightDecay: 1e-4,
  shift: 1,
  flip: true,
  seed: 5,
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-train-'));
});
afterEach(() => rm(folder, { recursive: true }));

const options = (more: Partial<TrainOptions> = {}): TrainOptions => ({
  settings,
  data,
  threads: 2,
  checkpoint: join(folder, 'c.safetensors'),
  checkpointSteps: 4,
  resume: false,
  ...more,
});

test('it learns, says how it goes, and the same seed gives the same weights', async () => {
  const seen: number[] = [];
  const once = await train(options({ onProgress: (p) => seen.push(p.step) }));
  expect(seen).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
  expect(once.history.map((h) => h.epoch)).toEqual([1, 2, 3]);
  expect(once.history[2]!.lossMain).toBeLessThan(once.history[0]!.lossMain / 2);
  expect(once.history[2]!.lossBranch).toBeLessThan(once.history[0]!.lossBranch / 2);
  const twice = await train(options());
  expect(twice.weights).toEqual(once.weights);
  const other = await train(options({ settings: { ...settings, seed: 6 } }));
  expect(other.weights).not.toEqual(once.weights);
});

test('broken off anywhere and resumed it ends with the same weights, losses and accuracies', async () => {
  const whole = await train(options());
  for (const at of [3, 10, 17]) {
    const stop = new AbortController();
    const checkpoint = join(folder, `stop-${at}.safetensors`);
    const broken = train(
      options({ checkpoint, signal: stop.signal, onProgress: (p) => p.step === at && stop.abort() }),
    );
    await expect(broken).rejects.toMatchObject({ code: 'CANCELLED', details: { step: at } });
    const resumed = await train(options({ checkpoint, resume: true }));
    expect(resumed.weights).toEqual(whole.weights);
    expect(resumed.history.map(({ seconds, ...h }) => h)).toEqual(
      whole.history.map(({ seconds, ...h }) => h),
    );
  }
});

test('a checkpoint is whole or absent, and nothing else is left behind', async () => {
  await train(options());
  expect(await readdir(folder)).toEqual(['c.safetensors']);
  const { tensors, metadata } = readSafetensors(await readFile(join(folder, 'c.safetensors')));
  expect(metadata['format']).toBe('tierwise-checkpoint/1');
  expect(tensors.get('stem.conv.weight')!.dims).toEqual([20, 1, 5, 5]);
});

test('a checkpoint of other settings, or a damaged one, is refused with the reason', async () => {
  const checkpoint = join(folder, 'c.safetensors');
  await train(options());
  await expect(
    train(options({ resume: true, settings: { ...settings, peakRate: 1e-3 } })),
  ).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringContaining('peakRate') });
  const bytes = await readFile(checkpoint);
  await writeFile(checkpoint, bytes.subarray(0, bytes.length - 100));
  await expect(train(options({ resume: true }))).rejects.toMatchObject({ code: 'SAFETENSORS_CORRUPT' });
  await writeFile(checkpoint, 'not a checkpoint');
  await expect(train(options({ resume: true }))).rejects.toMatchObject({ code: 'SAFETENSORS_CORRUPT' });
});

test('a loss that is not a number ends the training with the step', async () => {
  const diverging = train(
    options({ settings: { ...settings, optimizer: 'sgd', peakRate: 1e30, warmup: 1 } }),
  );
  await expect(diverging).rejects.toMatchObject({
    code: 'TRAINING_DIVERGED',
    message: expect.stringMatching(/step \d+/),
  });
});
