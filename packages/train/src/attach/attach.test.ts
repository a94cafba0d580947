import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ErrorCode, isTierwiseError } from '@tierwise/core';
import { loadDataset } from '@tierwise/data';
import { flowOf, readOnnx } from '@tierwise/graph';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { squaresNetwork } from '../../test/squares.ts';
import { tinyData } from '../../test/tiny-data.ts';
import { evaluate, openBundled } from '../bundle/evaluate.ts';
import { makeComposite } from '../bundle/make.ts';
import { branchPhases } from '../training/schedule.ts';
import type { TrainingSettings } from '../training/settings.ts';
import { train } from '../training/trainer.ts';
import {
  type AttachOptions,
  attachedComposite,
  designFor,
  importBackbone,
  temperatureFor,
  tryNormalizations,
} from './index.ts';

const data = tinyData(260, 1);
const threads = 2;
const code = (expected: ErrorCode, what: RegExp) =>
  expect.toSatisfy((error: unknown) => isTierwiseError(error, expected) && what.test(error.message));

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-attach-'));
});
afterEach(() => rm(folder, { recursive: true }));

test.each([
  ['as it is', {}],
  ['NHWC with softmax', { layout: 'nhwc', softmax: true }],
  ['a fixed batch', { batch: 3 }],
  ['a fire module', { fire: true }],
  ['a leaky activation', { activation: 'LeakyRelu' }],
] as const)('%s: found, and understood by the pixels that it was made for', async (_, options) => {
  const backbone = await importBackbone(readOnnx(squaresNetwork(options)));
  expect(backbone).toMatchObject({
    pictures: { channels: 1, height: 28, width: 28 },
    classes: 10,
    stemDims: [1, 2, 14, 14],
    ports: { stem: 'pooled', scores: 'logits' },
  });
  const [best, ...others] = await tryNormalizations(backbone, data, { threads });
  expect(best).toMatchObject({ accuracy: 1, samples: 260 });
  expect(others.map(({ name }) => name)).toContain('MNIST');
});

test('a branch is trained on it, and the bundle is what was measured', async () => {
  const backbone = await importBackbone(readOnnx(squaresNetwork({ layout: 'nhwc', softmax: true })));
  const spec = { ...backbone.pictures, scale: 1 / 255, mean: [0.25], std: [0.5] };
  const settings: TrainingSettings = {
    network: 'squares.onnx',
    data: 'tiny',
    samples: data.samples,
    holdout: 60,
    batch: 20,
    recipe: 'xnor',
    // Classes differ in the place of a square, which an average over the map would lose.
    design: { ...designFor(backbone, { depth: 1, width: 32 }), dense: [64] },
    phases: branchPhases('xnor', { branchEpochs: 12, samples: 100, batch: 10 }),
    temperature: temperatureFor(1),
    augmentation: { shift: 0, flip: false, cutout: 0 },
    smoothing: 0,
    seed: 1,
  };
  const { weights, history } = await train({
    backbone: { ...backbone, preprocess: spec },
    settings,
    data,
    threads,
    checkpoint: join(folder, 'c.safetensors'),
    checkpointSteps: 100,
    resume: false,
  });
  expect(history.at(-1)!.losses.branch).toBeLessThan(0.95 * history[0]!.losses.branch!);
  const test = tinyData(100, 2);
  const { manifest, files, evaluation } = await makeComposite({
    name: 'squares',
    settings,
    composite: attachedComposite(backbone, spec, settings, weights),
    backbone: { file: 'squares.onnx' },
    train: data,
    test,
    tolerance: 0.01,
    threads,
  });
  expect(manifest).toMatchObject({ preprocess: spec, provenance: { backbone: { file: 'squares.onnx' } } });
  expect(evaluation.main.accuracy).toBe(1);
  expect(evaluation.branch.accuracy).toBeGreaterThan(0.6);
  await using opened = await openBundled(manifest, ({ file }) => files.get(file)!, threads);
  expect(await evaluate(opened, manifest, test)).toEqual(evaluation);
});

test('scores in another order than the classes are told from a network that guesses', async () => {
  const order = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8];
  const other = await importBackbone(readOnnx(squaresNetwork({ order })));
  await expect(tryNormalizations(other, data, { threads })).rejects.toThrow(
    code('USAGE', /"0" as output 1, "1" as output 0.*--classes/),
  );
  const right = await importBackbone(readOnnx(squaresNetwork()));
  const noise = { ...data, images: data.images.map((_, i) => (i * 7919) % 256) };
  await expect(tryNormalizations(right, noise, { threads })).rejects.toThrow(
    code('USAGE', /no better than guessing, with each of 4 usual normalisations: give its own with --mean/),
  );
  const given = { scale: 1, mean: [1e6], std: [1] };
  await expect(tryNormalizations(right, data, { threads, given })).rejects.toThrow(
    code('USAGE', /no better than guessing: check --mean, --std and --scale/),
  );
});

describe('where the branch leaves', () => {
  const at = async (options: AttachOptions, network = squaresNetwork()) =>
    (await importBackbone(readOnnx(network), options)).ports.stem;

  test('is the end of the first stage that runs on a device, or what is named: a tensor or its node', async () => {
    expect(await at({})).toBe('pooled');
    expect(await at({ at: 'stage' })).toBe('stage');
    expect(await at({ at: 'MaxPool_pooled' })).toBe('pooled');
    const { ports, notes } = await importBackbone(readOnnx(squaresNetwork({ activation: 'Tanh' })));
    expect(ports.stem).toBe('stem.out');
    expect(notes.join()).toMatch(
      /cannot leave after "pooled": Tanh "Tanh_stage": is no operation of the device's engine/,
    );
  });

  test.each([
    [{ at: 'nowhere' }, 'USAGE', /no such node or tensor; a branch can leave after stem.out, stage, pooled/],
    [{ at: 'logits' }, 'USAGE', /no map/],
    [{ at: 'left.out' }, 'USAGE', /other tensors cross beside it/],
  ] as const)('%j is refused', async (options, expected, message) => {
    await expect(at(options, squaresNetwork({ fire: true }))).rejects.toThrow(code(expected, message));
  });

  test('cannot be after what the device has no operation for', async () => {
    const network = squaresNetwork({ activation: 'Tanh' });
    await expect(at({ at: 'pooled' }, network)).rejects.toThrow(
      code('MODEL_UNSUPPORTED', /^--at pooled: Tanh "Tanh_stage"/),
    );
  });
});

const datasets = process.env['TIERWISE_DATA'];
const cifar = { scale: 1 / 255, mean: [0.4914, 0.4822, 0.4465] };

/** Accuracies that their authors, or a run of ONNX Runtime over the same test set, give for these files. */
describe.skipIf(!datasets)(
  "other people's networks with their own normalisation reach their accuracy",
  () => {
    test.each([
      ['mnist-cntk', 'mnist', { scale: 1, mean: [0], std: [1] }, 0.989],
      ['lenet_4_8_32', 'mnist', { scale: 1 / 255, mean: [0.1307], std: [0.3081] }, 0.988],
      ['cifar_base_kw', 'cifar-10', { ...cifar, std: [0.225] }, 0.579],
      ['resnet_2b', 'cifar-10', { ...cifar, std: [0.247, 0.2435, 0.2616] }, 0.692],
    ] as const)('%s', async (name, dataName, given, expected) => {
      const file = join(datasets!, '../models', name, `${name}.onnx`);
      const backbone = await importBackbone(readOnnx(await readFile(file), file));
      expect(flowOf(backbone.model).inputs).toEqual([backbone.ports.input]);
      expect(backbone.model.graph!.input).toHaveLength(1);
      const { test } = await loadDataset(dataName, { size: backbone.pictures });
      const [found] = await tryNormalizations(backbone, test, { given, threads, samples: test.samples });
      expect(found!.samples).toBe(10_000);
      expect(found!.accuracy).toBeCloseTo(expected, 3);
    });

    test.each([
      'light_bvlc_alexnet',
      'light_squeezenet',
      'light_resnet50',
      'light_inception_v1',
      'light_shufflenet',
    ])('%s: real weights or not, it has a stem that runs on a device', async (name) => {
      const file = join(datasets!, '../models', name, `${name}.onnx`);
      const { classes, stemDims, pictures } = await importBackbone(readOnnx(await readFile(file), file));
      expect({ classes, pictures }).toEqual({
        classes: 1000,
        pictures: { channels: 3, height: 224, width: 224 },
      });
      expect(stemDims).toHaveLength(4);
    });
  },
);
