import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { random, tensor } from '@tierwise/core';
import { extract, GraphBuilder, type ModelProto, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { shrunk } from '../src/layers/shrink.ts';
import { ports } from '../src/networks/export.ts';
import { findNetwork } from '../src/networks/index.ts';
import { untrainedWeights } from '../src/networks/untrained.ts';
import { freeDesign } from '../src/recipes/index.ts';
import { backboneOf, phaseOpener } from '../src/training/phases.ts';
import { type AnySize, anySize, progressive } from '../src/training/progressive.ts';
import { branchPhases, phasesOf, rateOf } from '../src/training/schedule.ts';
import type { PhaseSettings, TrainingSettings } from '../src/training/settings.ts';
import { schedules } from '../src/training/settings.ts';
import { type TrainOptions, train } from '../src/training/trainer.ts';
import { fingerprints } from './fingerprints.ts';
import { tinyData } from './tiny-data.ts';

const data = tinyData(260, 1);
const design = freeDesign([1, 20, 12, 12], { depth: 2, width: 24 });

const settings: TrainingSettings = {
  network: 'lenet',
  data: 'tiny',
  samples: data.samples,
  holdout: 60,
  batch: 20,
  recipe: 'modern',
  design,
  phases: branchPhases('modern', { branchEpochs: 4, samples: 200, batch: 20, progressive: true }),
  temperature: 4,
  augmentation: { shift: 1, flip: false, cutout: 0 },
  smoothing: 0,
  seed: 5,
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-progressive-'));
});
afterEach(() => rm(folder, { recursive: true }));

const lenet = findNetwork('lenet');
const resnet18 = findNetwork('resnet18');
const backbone = backboneOf(lenet, untrainedWeights(lenet, 10, 1), 10);

const options = (more: Partial<TrainOptions> = {}): TrainOptions => ({
  settings,
  data,
  backbone,
  threads: 1,
  checkpoint: join(folder, 'c.safetensors'),
  checkpointSteps: 7,
  resume: false,
  ...more,
});

describe('phases with pictures of growing size', () => {
  test('half of all epochs at half the sides, a quarter at three quarters, the rest whole', () => {
    const sides = (phases: readonly PhaseSettings[]) =>
      phases.map(({ kind, epochs, side = 1 }) => `${kind} ${epochs} ${side}`);
    const common = { samples: 1000, batch: 10, progressive: true };
    const inTurn = (progressive: AnySize) =>
      phasesOf(resnet18, 'main-first', 'modern', { ...common, epochs: 14, branchEpochs: 32, progressive });
    const main = ['main 7 0.5', 'main 3 0.75', 'main 4 1'];
    const branch = ['branch-real 16 0.5', 'branch 8 0.75', 'branch 8 1'];
    expect(sides(inTurn({ main: true, branch: true }))).toEqual([...main, ...branch]);
    expect(sides(inTurn({ main: false, branch: true }))).toEqual(['main 14 1', ...branch]);
    expect(sides(inTurn({ main: true, branch: false }))).toEqual([
      ...main,
      'branch-real 16 1',
      'branch 16 1',
    ]);
    expect(sides(branchPhases('xnor', { branchEpochs: 8, ...common }))).toEqual([
      'branch 4 0.5',
      'branch 2 0.75',
      'branch 2 1',
    ]);
    expect(sides(branchPhases('modern', { branchEpochs: 1, ...common }))).toEqual(['branch 1 1']);
    expect(sides(branchPhases('modern', { branchEpochs: 8, samples: 1000, batch: 10 }))).toEqual([
      'branch-real 4 1',
      'branch 4 1',
    ]);
  });

  test('a divided phase has as many epochs as before, and its learning rate goes on as if it were one', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 5 }),
        (epochs, stepsPerEpoch) => {
          const phase: PhaseSettings = {
            kind: 'main',
            epochs,
            optimizer: 'sgd',
            peakRate: 0.1,
            warmup: 2,
            weightDecay: 0,
          };
          const rates = (phases: readonly PhaseSettings[]) =>
            phases.flatMap((one) =>
              Array.from({ length: one.epochs * stepsPerEpoch }, (_, step) =>
                rateOf(one, step, stepsPerEpoch),
              ),
            );
          const parts = progressive([phase]);
          expect(rates(parts)).toEqual(rates([phase]));
          expect(parts.at(-1)!.side).toBeUndefined();
        },
      ),
    ));

  test('what has a weight for each place of a map does not begin small, and what has only such is refused by name', () => {
    const flat = { ...design, dense: [32] };
    const both = { main: true, branch: true };
    for (const name of ['resnet18', 'mobilenet-v2'])
      for (const schedule of schedules) expect(anySize(findNetwork(name), design, schedule)).toEqual(both);
    for (const name of ['lenet', 'alexnet', 'vgg16']) {
      const network = findNetwork(name);
      expect(anySize(network, design, 'main-first')).toEqual({ main: false, branch: true });
      for (const refused of [
        () => anySize(network, design, 'joint'),
        () => anySize(network, flat, 'main-first'),
      ])
        expect(refused).toThrow(
          expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(name) }),
        );
    }
    expect(anySize(resnet18, flat, 'main-first')).toEqual({ main: true, branch: false });
    expect(() => anySize(resnet18, flat, 'joint')).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining('its branch') }),
    );
  });
});

test('a shrunk map has the averages of the areas that its numbers cover', () =>
  fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.constantFrom(0.5, 0.75, 0.3),
      fc.nat(),
      async (h, w, share, seed) => {
        const [height, width] = [h, w].map((side) => Math.max(1, Math.round(side * share))) as [
          number,
          number,
        ];
        const b = new GraphBuilder('shrink');
        const small = shrunk(b, { value: b.input('x', 'float32', [2, 3, h, w]), dims: [2, 3, h, w] }, share);
        expect(small.dims).toEqual([2, 3, height, width]);
        b.output(small.value, 'float32', small.dims, 'y');
        const r = random(seed);
        const x = Float32Array.from({ length: 6 * h * w }, () => r.normal());
        const session = await openSession(writeOnnx(b.model));
        const y = (await session.run({ x: tensor('float32', [2, 3, h, w], x) })).get('y')!.data;
        await session.dispose();
        // Each number of the map stands for a rectangle that is sampled finely, from its middle on.
        const fine = 60;
        for (let plane = 0; plane < 6; plane++)
          for (let i = 0; i < height; i++)
            for (let j = 0; j < width; j++) {
              let sum = 0;
              for (let a = 0; a < fine; a++)
                for (let c = 0; c < fine; c++) {
                  const row = Math.floor(((i + (a + 0.5) / fine) * h) / height);
                  const column = Math.floor(((j + (c + 0.5) / fine) * w) / width);
                  sum += x[(plane * h + row) * w + column]!;
                }
              expect(Math.abs(Number(y[(plane * height + i) * width + j]) - sum / fine ** 2)).toBeLessThan(
                0.1,
              );
            }
      },
    ),
    { numRuns: 15 },
  ));

test('a branch learns from growing stems, and broken off in any phase it ends the same', async () => {
  const whole = await train(options());
  expect(whole.history.map(({ phase, side }) => [phase, side])).toEqual([
    ['branch-real', 0.5],
    ['branch-real', 0.5],
    ['branch', 0.75],
    ['branch', undefined],
  ]);
  for (const at of [5, 25, 33]) {
    const stop = new AbortController();
    const checkpoint = join(folder, `stop-${at}.safetensors`);
    let seen = 0;
    const onProgress = () => ++seen === at && stop.abort();
    await expect(train(options({ checkpoint, signal: stop.signal, onProgress }))).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    const resumed = await train(options({ checkpoint, resume: true }));
    expect(fingerprints(resumed.weights)).toEqual(fingerprints(whole.weights));
  }
});

describe('views', () => {
  const phases = branchPhases('modern', { branchEpochs: 4, samples: 200, batch: 20 });
  const viewed = (views?: number): TrainingSettings => ({
    ...settings,
    phases,
    ...(views === undefined ? {} : { views }),
  });

  test('what the network says of a batch that comes again is not computed again', async () => {
    const open = phaseOpener({ settings: viewed(2), data, threads: 1, backbone });
    const pixels = (seed: number) => {
      const r = random(seed);
      return tensor(
        'uint8',
        [20, 1, 28, 28],
        Uint8Array.from({ length: 20 * 784 }, () => r.below(256)),
      );
    };
    await using first = await open(phases[0]!, new Map());
    const once = await first.feeds(pixels(1), 'a');
    const again = await first.feeds(pixels(1), 'a');
    expect(again['teacher']).toBe(once['teacher']);
    expect(again['stem']).toEqual(once['stem']);
    expect((await first.feeds(pixels(1)))['teacher']).toEqual(once['teacher']);
    expect((await first.feeds(pixels(2), 'b'))['teacher']).not.toEqual(once['teacher']);
    // The next phase has the same pictures.
    await using second = await open(phases[1]!, new Map());
    expect((await second.feeds(pixels(1), 'a'))['teacher']).toBe(once['teacher']);
  });

  test('as many views as epochs change nothing, fewer do, and a training that is resumed ends the same', async () => {
    const plain = await train(options({ settings: viewed() }));
    const all = await train(options({ settings: viewed(4) }));
    expect(fingerprints(all.weights)).toEqual(fingerprints(plain.weights));
    const two = await train(options({ settings: viewed(2) }));
    expect(fingerprints(two.weights)).not.toEqual(fingerprints(plain.weights));
    const stop = new AbortController();
    const checkpoint = join(folder, 'views.safetensors');
    let seen = 0;
    const onProgress = () => ++seen === 27 && stop.abort();
    const broken = train(options({ settings: viewed(2), checkpoint, signal: stop.signal, onProgress }));
    await expect(broken).rejects.toMatchObject({ code: 'CANCELLED' });
    const resumed = await train(options({ settings: viewed(2), checkpoint, resume: true }));
    expect(fingerprints(resumed.weights)).toEqual(fingerprints(two.weights));
  });
});

/** How far the scores `to` of two tensors `from` are apart that have the same averages over 2 x 2 numbers. */
async function tellsApart(
  model: ModelProto,
  [from, to]: readonly [string, string],
  dims: readonly [number, number, number],
): Promise<number> {
  const [c, h, w] = dims;
  const session = await openSession(writeOnnx(extract(model, { inputs: [from], outputs: [to] })));
  try {
    const r = random(2);
    const x = Float32Array.from({ length: c * h * w }, () => Math.floor(r.uniform() * 256));
    const averages = x.map((_, at) => {
      const [row, column] = [Math.floor(at / w) % h, at % w];
      const corner = at - (row % 2) * w - (column % 2);
      return (x[corner]! + x[corner + 1]! + x[corner + w]! + x[corner + w + 1]!) / 4;
    });
    const [one, other] = await Promise.all(
      [x, averages].map(async (data) => {
        const found = await session.run({ [from]: tensor('float32', [1, c, h, w], data) });
        return found.get(to)!.data as Float32Array;
      }),
    );
    return Math.max(...one!.map((score, i) => Math.abs(score - other![i]!)));
  } finally {
    await session.dispose();
  }
}

test('what is held back is seen as small as what is learnt from', async () => {
  const network = findNetwork('mobilenet-v2-0.25');
  const usual = { epochs: 1, optimizer: 'adam', peakRate: 1e-3, warmup: 1, weightDecay: 0 } as const;
  const weights = untrainedWeights(network, 10, 1, settings);
  for (const kind of ['main', 'joint', 'branch'] as const) {
    const ofBranch = kind === 'branch';
    const open = phaseOpener({
      settings: { ...settings, network: network.name },
      data,
      threads: 1,
      ...(ofBranch && { backbone }),
    });
    const trained = ofBranch ? untrainedWeights(lenet, 10, 1, settings) : weights;
    for (const side of [0.5, 1]) {
      await using phase = await open({ kind, ...usual, side }, new Map());
      const { model, input, heads } = phase.deployed!(trained);
      const seen = ofBranch ? ([ports.stem, [20, 12, 12]] as const) : ([input, [3, 32, 32]] as const);
      for (const scores of Object.values(heads)) {
        const apart = await tellsApart(model, [seen[0], scores], seen[1]);
        if (side === 1) expect(apart).toBeGreaterThan(0.01);
        else expect(apart).toBeLessThan(1e-3);
      }
    }
  }
});
