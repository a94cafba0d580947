/** A branch that is trained together with somebody's network. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { softmax, tensor } from '@tierwise/core';
import { fromTensorProto, GraphBuilder, readOnnx, writeOnnx } from '@tierwise/graph';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { attachedComposite, designFor, type ImportedBackbone, importBackbone } from '../src/attach/index.ts';
import { type Backbone, openBackbone } from '../src/frozen/backbone.ts';
import type { Weights } from '../src/layers/inference.ts';
import { startingValues } from '../src/start/drawn.ts';
import { optimizers } from '../src/step/optimizer.ts';
import { attachedStep } from '../src/step/step.ts';
import { freshState, openStep } from '../src/step/step-runner.ts';
import { fineTuning } from '../src/training/schedule.ts';
import type { TrainingSettings } from '../src/training/settings.ts';
import { type TrainOptions, train } from '../src/training/trainer.ts';
import { fingerprints } from './fingerprints.ts';
import { type Export, squaresNetwork } from './squares.ts';
import { tinyData } from './tiny-data.ts';

const data = tinyData(260, 1);
const [batch, classes] = [20, 10];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-joint-'));
});
afterEach(() => rm(folder, { recursive: true }));

interface Attached {
  readonly imported: ImportedBackbone;
  readonly backbone: Backbone;
  readonly settings: TrainingSettings;
}

/** The squares network, which takes pixels as nobody would, and how it is trained. */
async function attached(network: Export): Promise<Attached> {
  const imported = await importBackbone(readOnnx(squaresNetwork(network)));
  const preprocess = { ...imported.pictures, scale: 1 / 255, mean: [0.25], std: [0.5] };
  const settings: TrainingSettings = {
    network: 'squares.onnx',
    data: 'tiny',
    samples: data.samples,
    holdout: 60,
    batch,
    recipe: 'xnor',
    design: { ...designFor(imported, { depth: 1, width: 8 }), dense: [16] },
    phases: [fineTuning({ epochs: 3, peakRate: 5e-3, samples: 100, batch: 10 })],
    temperature: 4,
    augmentation: { shift: 0, flip: false, cutout: 0 },
    smoothing: 0,
    seed: 1,
  };
  return { imported, backbone: { ...imported, preprocess }, settings };
}

const trained = ({ backbone, settings }: Attached, more: Partial<TrainOptions> = {}) =>
  train({
    backbone,
    settings,
    data,
    threads: 1,
    checkpoint: join(folder, 'c.safetensors'),
    checkpointSteps: 4,
    resume: false,
    ...more,
  });

const pixels = tensor('uint8', [batch, 1, 28, 28], data.images.slice(0, batch * 784));
const targets = tensor('float32', [batch, classes], new Float32Array(batch * classes));
for (let n = 0; n < batch; n++) targets.data[n * classes + data.labels[n]!] = 1;

/** Mean cross-entropy of `backbone` alone. */
async function lossAlone(backbone: Backbone): Promise<number> {
  await using opened = await openBackbone(backbone, 1);
  const { data: scores } = (await opened.run(pixels)).scores;
  const losses = Array.from({ length: batch }, (_, n) => {
    const row = softmax(scores.subarray(n * classes, (n + 1) * classes));
    return -Math.log(row[data.labels[n]!]!);
  });
  return losses.reduce((a, b) => a + b, 0) / batch;
}

/** The same as the training step sees it, with `weights` where there are any. */
async function lossInStep({ backbone, imported, settings }: Attached, weights?: Weights): Promise<number> {
  const optimizer = optimizers.adam;
  const options = { batch, classes, optimizer, weightDecay: 0 };
  const step = attachedStep(backbone, imported.stemDims, settings, options);
  const start = freshState(step, startingValues(step, 1), weights);
  await using runner = await openStep(step, { optimizer, start, threads: 1 });
  const [main] = await runner.run(Object.entries({ pixels, targets }), 0, 1);
  return main!.loss;
}

test.each<[string, Export]>([
  ['NHWC with softmax', { layout: 'nhwc', softmax: true }],
  ['a fixed batch', { batch: 3 }],
  ['a fire module', { fire: true }],
  ['a leaky activation', { activation: 'LeakyRelu' }],
  ['an activation that the device does not have', { activation: 'Tanh' }],
  ['batch norm', { norm: true }],
])('%s: it starts as the network that it was', async (_, network) => {
  const given = await attached(network);
  expect(await lossInStep(given)).toBeCloseTo(await lossAlone(given.backbone), 4);
});

test('both learn; what is deployed is what was trained, with the averages that it had', async () => {
  const given = await attached({ norm: true });
  const before = await lossAlone(given.backbone);
  const { weights, history } = await trained(given);
  const [first, , last] = history;
  for (const head of ['main', 'branch'] as const)
    expect(last!.losses[head]).toBeLessThan(0.9 * first!.losses[head]!);
  expect([...weights.keys()].filter((name) => name.startsWith('main.')).sort()).toEqual([
    'main.scale',
    'main.shift',
    'main.stem',
    'main.templates',
  ]);
  const learnt = await lossInStep(given, weights);
  expect(learnt).toBeLessThan(0.9 * before);
  expect(await lossAlone(given.backbone)).toBe(before);

  const { backbone, imported, settings } = given;
  const { model } = attachedComposite(imported, backbone.preprocess, settings, weights);
  expect(await lossAlone({ ...backbone, model: readOnnx(writeOnnx(model), 'model.onnx') })).toBeCloseTo(
    learnt,
    4,
  );
  const stored = (name: string) =>
    fromTensorProto(model.graph!.initializer.find((proto) => proto.name === name)!).data;
  expect(stored('mean')).toEqual(new Float32Array(2));
  expect(stored('scale')).toEqual(weights.get('main.scale'));
});

test('broken off anywhere and resumed it ends with the same weights, losses and accuracies', async () => {
  const given = await attached({});
  const whole = await trained(given);
  for (const at of [3, 10, 17]) {
    const stop = new AbortController();
    const checkpoint = join(folder, `stop-${at}.safetensors`);
    const broken = trained(given, {
      checkpoint,
      signal: stop.signal,
      onProgress: (p) => p.step === at && stop.abort(),
    });
    await expect(broken).rejects.toMatchObject({ code: 'CANCELLED', details: { step: at } });
    const resumed = await trained(given, { checkpoint, resume: true });
    expect(fingerprints(resumed.weights)).toEqual(fingerprints(whole.weights));
    expect(resumed.history.map(({ seconds, ...h }) => h)).toEqual(
      whole.history.map(({ seconds, ...h }) => h),
    );
  }
});

test('a network that cannot be trained is refused with the node, and what to do', async () => {
  await expect(trained(await attached({ activation: 'Softsign' }))).rejects.toMatchObject({
    code: 'MODEL_UNSUPPORTED',
    message: expect.stringMatching(
      /^the network cannot be trained: Softsign "Softsign_stage" cannot be.*--freeze/,
    ),
  });
  const { backbone, ...given } = await attached({});
  const old = new GraphBuilder('old').model.opsetImport;
  old[0]!.version = 18n;
  const model = Object.assign(readOnnx(writeOnnx(backbone.model), 'old'), { opsetImport: old });
  await expect(trained({ ...given, backbone: { ...backbone, model } })).rejects.toMatchObject({
    code: 'MODEL_UNSUPPORTED',
    message: expect.stringContaining('opset 18'),
  });
});
