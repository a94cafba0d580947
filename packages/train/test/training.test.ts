import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileBranch } from '@tierwise/binary/compile';
import { readSafetensors } from '@tierwise/core';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { judgeBranch, openComposite } from '../src/bundle/evaluate.ts';
import { networkComposite, subset } from '../src/bundle/make.ts';
import type { Weights } from '../src/layers/inference.ts';
import { findNetwork, mirrorOf } from '../src/networks/index.ts';
import { freeDesign } from '../src/recipes/index.ts';
import { holdBack } from '../src/training/batches.ts';
import type { EpochRecord } from '../src/training/checkpoint.ts';
import { backboneOf } from '../src/training/phases.ts';
import { runRecordFiles, writeRunRecord } from '../src/training/run-record.ts';
import type { PhaseKind, PhaseSettings, TrainingSettings } from '../src/training/settings.ts';
import { type TrainingProgress, type TrainOptions, train } from '../src/training/trainer.ts';
import { validate } from '../src/training/validate.ts';
import { fingerprints } from './fingerprints.ts';
import { tinyData } from './tiny-data.ts';

const data = tinyData(260, 1);

function phase(kind: PhaseKind, epochs: number): PhaseSettings {
  return { kind, epochs, optimizer: 'adam', peakRate: 2e-3, warmup: 4, weightDecay: 1e-4 };
}

const settings: TrainingSettings = {
  network: 'lenet',
  data: 'tiny',
  samples: data.samples,
  holdout: 60,
  batch: 20,
  ...mirrorOf(findNetwork('lenet')),
  phases: [phase('joint', 3)],
  temperature: 4,
  augmentation: { shift: 1, flip: true, cutout: 3 },
  smoothing: 0.02,
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
  for (const head of ['main', 'branch'] as const)
    expect(once.history[2]!.losses[head]).toBeLessThan(once.history[0]!.losses[head]! / 2);
  const twice = await train(options());
  expect(fingerprints(twice.weights)).toEqual(fingerprints(once.weights));
  const other = await train(options({ settings: { ...settings, seed: 6 } }));
  expect(fingerprints(other.weights)).not.toEqual(fingerprints(once.weights));
});

test('after each epoch it says how many held-back samples are right, as the composite has them', async () => {
  const both = await train(options());
  expect(both.history.map(({ heldBack }) => Object.keys(heldBack!))).toEqual(
    Array.from({ length: 3 }, () => ['main', 'branch']),
  );
  const phases = [phase('main', 1), phase('branch-real', 1), phase('branch', 1)];
  const inTurn = { ...settings, recipe: 'modern', phases } as const;
  const turns = await train(options({ settings: inTurn }));
  expect(turns.history.map(({ heldBack = {} }) => Object.keys(heldBack))).toEqual([['main'], [], ['branch']]);

  const held = subset(data, holdBack(data.samples, settings.holdout, settings.seed).held);
  for (const [how, { weights, history }] of [
    [settings, both],
    [inTurn, turns],
  ] as const) {
    const { model, ports, stemDims, preprocess } = networkComposite(how, weights, data.classes.length);
    await using composite = await openComposite({
      model: writeOnnx(model),
      branch: compileBranch(model, {
        input: ports.input,
        outputs: [ports.stem, ports.branch],
        halfPrecisionEnds: true,
      }),
      ports: {
        ...ports,
        input: { tensor: ports.input, dims: [1, 1, 28, 28] },
        stem: { tensor: ports.stem, dims: [...stemDims] },
      },
      preprocess,
      threads: 1,
    });
    const last = (head: 'main' | 'branch') => history.findLast((h) => h.heldBack?.[head])!.heldBack![head];
    expect(await composite.mainAccuracy(held)).toBe(last('main'));
    const { right } = judgeBranch((await composite.branch(held)).scores, held);
    expect(right.reduce((a, b) => a + b, 0) / held.samples).toBe(last('branch'));
  }
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
    expect(fingerprints(resumed.weights)).toEqual(fingerprints(whole.weights));
    expect(resumed.history.map(({ seconds, ...h }) => h)).toEqual(
      whole.history.map(({ seconds, ...h }) => h),
    );
  }
});

/** The branch in batches of its own. */
const mainFirst: TrainingSettings = {
  ...settings,
  phases: [phase('main', 2), { ...phase('branch', 2), batch: 10 }],
};

const ofMain = (weights: Weights) =>
  fingerprints(new Map([...weights].filter(([name]) => !name.startsWith('branch.'))));

test('main first: the branch learns on a main network that stays as it was; broken off anywhere it ends the same', async () => {
  const seen: string[] = [];
  const whole = await train(
    options({ settings: mainFirst, onProgress: (p) => seen.push(`${p.phase} ${p.epoch} ${p.step}`) }),
  );
  expect(seen.length).toBe(60);
  expect([seen[0], seen[19], seen[20], seen[59]]).toEqual([
    'main 1 1',
    'main 2 20',
    'branch 1 1',
    'branch 2 40',
  ]);
  expect(whole.history.map((h) => Object.keys(h.losses))).toEqual([
    ['main'],
    ['main'],
    ['branch'],
    ['branch'],
  ]);
  expect(whole.history[3]!.losses.branch).toBeLessThan(whole.history[2]!.losses.branch! * 0.8);
  const mainOnly = await train(options({ settings: { ...mainFirst, phases: [phase('main', 2)] } }));
  expect(fingerprints(whole.weights)).toMatchObject(fingerprints(mainOnly.weights));
  expect([...whole.weights.keys()].filter((name) => /\.(first|second)$/.test(name))).toEqual([]);

  for (const [at, kind] of [
    [7, 'main'],
    [20, 'main'],
    [3, 'branch'],
    [40, 'branch'],
  ] as const) {
    const stop = new AbortController();
    const checkpoint = join(folder, `stop-${kind}-${at}.safetensors`);
    const broken = train(
      options({
        settings: mainFirst,
        checkpoint,
        signal: stop.signal,
        onProgress: (p) => p.phase === kind && p.step === at && stop.abort(),
      }),
    );
    await expect(broken).rejects.toMatchObject({ code: 'CANCELLED', details: { step: at, phase: kind } });
    const resumed = await train(options({ settings: mainFirst, checkpoint, resume: true }));
    expect(fingerprints(resumed.weights)).toEqual(fingerprints(whole.weights));
    expect(resumed.history.map(({ seconds, ...h }) => h)).toEqual(
      whole.history.map(({ seconds, ...h }) => h),
    );
  }
});

test('another branch is given to a main network that is trained; one that is not, or otherwise, is refused', async () => {
  const main = join(folder, 'first.safetensors');
  const whole = await train(options({ settings: mainFirst, checkpoint: main }));
  const checkpoint = join(folder, 'second.safetensors');
  const same = await train(options({ settings: mainFirst, checkpoint, main }));
  expect(fingerprints(same.weights)).toEqual(fingerprints(whole.weights));
  expect(same.history.map(({ phase }) => phase)).toEqual(['main', 'main', 'branch', 'branch']);

  const design = freeDesign([1, 20, 12, 12], { depth: 1, width: 16 });
  const other: TrainingSettings = { ...mainFirst, recipe: 'modern', design };
  const { weights } = await train(options({ settings: other, checkpoint, main }));
  expect(fingerprints(weights)).toMatchObject(ofMain(whole.weights));
  expect([...weights.keys()].some((name) => name.startsWith('branch.'))).toBe(true);

  const refused = (settings: TrainingSettings, file = main) =>
    expect(train(options({ settings, main: file }))).rejects;
  await refused({ ...other, seed: 6 }).toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringContaining('seed 5, not 6'),
  });
  await refused(settings).toMatchObject({ code: 'USAGE' });
  await refused(other, join(folder, 'none')).toMatchObject({ code: 'FILE_UNREADABLE' });
  const stop = new AbortController();
  const early = join(folder, 'early.safetensors');
  await expect(
    train(
      options({
        settings: mainFirst,
        checkpoint: early,
        signal: stop.signal,
        onProgress: (p) => p.epoch === 2 && stop.abort(),
      }),
    ),
  ).rejects.toMatchObject({ code: 'CANCELLED' });
  await refused(other, early).toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringContaining('1 of 2 epochs'),
  });
});

test('a branch taught in 8 bits has the same main network, and broken off it ends the same', async () => {
  const main = join(folder, 'float32.safetensors');
  const real = await train(options({ settings: mainFirst, checkpoint: main }));
  const taught: TrainingSettings = { ...mainFirst, teacher: 'int8' };
  const whole = await train(options({ settings: taught, main }));
  expect(fingerprints(whole.weights)).toMatchObject(ofMain(real.weights));
  const lossOf = ({ history }: typeof real) => history.at(-1)!.losses.branch!;
  expect(lossOf(whole)).not.toBe(lossOf(real));
  expect(lossOf(whole) / lossOf(real)).toBeCloseTo(1, 1);

  const stop = new AbortController();
  const checkpoint = join(folder, 'int8.safetensors');
  const onProgress = (p: TrainingProgress) => p.step === 9 && stop.abort();
  const broken = train(options({ settings: taught, main, checkpoint, signal: stop.signal, onProgress }));
  await expect(broken).rejects.toMatchObject({ code: 'CANCELLED', details: { phase: 'branch' } });
  const resumed = await train(options({ settings: taught, checkpoint, resume: true }));
  expect(fingerprints(resumed.weights)).toEqual(fingerprints(whole.weights));
});

test('a network learns from another one; broken off it ends the same, and goes on with that one only', async () => {
  const alone: TrainingSettings = { ...settings, network: 'lenet-narrow', phases: [phase('main', 2)] };
  const { weights: known } = await train(options({ settings: { ...settings, phases: [phase('main', 3)] } }));
  const teacher = backboneOf(findNetwork('lenet'), known, data.classes.length);
  const studentOf = { bundle: 'lenet.tierwise', digest: 'd' };
  const checkpoint = join(folder, 'student.safetensors');
  for (const more of [{}, { views: 1 }, { teacher: 'int8' }] as const) {
    const student = options({ settings: { ...alone, ...more, studentOf }, teacher, checkpoint });
    const whole = await train(student);
    expect(Object.keys(whole.history[1]!.losses)).toEqual(['main']);
    const stop = new AbortController();
    const broken = train({
      ...student,
      signal: stop.signal,
      onProgress: (p) => p.step === 7 && stop.abort(),
    });
    await expect(broken).rejects.toMatchObject({ code: 'CANCELLED' });
    const resumed = await train({ ...student, resume: true });
    expect(fingerprints(resumed.weights)).toEqual(fingerprints(whole.weights));
  }
  // The checkpoint of a student is of no use to one of another network, or of none.
  for (const [asked, its] of [
    [{ ...alone, teacher: 'int8', studentOf: { ...studentOf, digest: 'e' } }, { teacher }],
    [{ ...alone, teacher: 'int8' }, {}],
  ] as const)
    await expect(train(options({ settings: asked, ...its, checkpoint, resume: true }))).rejects.toMatchObject(
      { code: 'CHECKPOINT_INVALID', message: expect.stringContaining('studentOf') },
    );
  await expect(train(options({ settings: alone, teacher }))).rejects.toMatchObject({ code: 'USAGE' });
});

test('a network learns from its teacher what labels do not say', async () => {
  // The labels say nothing here.
  const { weights } = await train(options({ settings: { ...settings, phases: [phase('main', 3)] } }));
  const teacher = backboneOf(findNetwork('lenet'), weights, data.classes.length);
  const labels = data.labels.map((_, i) => i % data.classes.length);
  const unlabelled = { ...data, labels };
  const student: TrainingSettings = {
    ...settings,
    network: 'lenet-narrow',
    smoothing: 0.99,
    phases: [phase('main', 16)],
  };
  const held = holdBack(data.samples, settings.holdout, settings.seed).held;
  const right = async (more: Partial<TrainingSettings>, its: Partial<TrainOptions>) => {
    const { weights: learnt } = await train(
      options({ settings: { ...student, ...more }, data: unlabelled, ...its }),
    );
    const { model, ports, preprocess } = backboneOf(findNetwork('lenet-narrow'), learnt, data.classes.length);
    const deployed = { model, input: ports.input, preprocess, heads: { main: ports.scores } };
    return (await validate(deployed, data, held, 1)).main!;
  };
  const taught = await right({ studentOf: { bundle: 'lenet.tierwise', digest: 'd' } }, { teacher });
  expect(taught).toBeGreaterThan((await right({}, {})) + 0.3);
});

test.each([
  ['', {}],
  [' of depthwise blocks', { depthwise: true }],
])(
  'a modern branch%s learns with real weights, then goes on from there with binary ones',
  async (_, more) => {
    const { blocks, ...rest } = freeDesign([1, 20, 12, 12], { depth: 2, width: 24 });
    const modern: TrainingSettings = {
      ...settings,
      recipe: 'modern',
      design: { ...rest, blocks: blocks.map((block) => ({ ...block, ...more })) },
      phases: [phase('main', 1), phase('branch-real', 2), phase('branch', 2)],
    };
    const checkpoint = join(folder, 'modern.safetensors');
    const stop = new AbortController();
    const broken = train(
      options({
        settings: modern,
        checkpoint,
        signal: stop.signal,
        onProgress: (p) => p.phase === 'branch' && stop.abort(),
      }),
    );
    await expect(broken).rejects.toMatchObject({ code: 'CANCELLED', details: { step: 1 } });
    const { history, weights } = await train(options({ settings: modern, checkpoint, resume: true }));
    expect(history.map((h) => h.phase)).toEqual(['main', 'branch-real', 'branch-real', 'branch', 'branch']);
    const losses = history.slice(1).map((h) => h.losses.branch!);
    expect(losses[1]!).toBeLessThan(losses[0]!);
    expect(losses[2]!).toBeLessThan(losses[0]!);
    expect(losses[3]!).toBeLessThan(losses[2]!);
    const whole = await train(options({ settings: modern }));
    expect(fingerprints(weights)).toEqual(fingerprints(whole.weights));
  },
);

test("a branch on somebody's backbone is what main-first does with its own; a backbone of one picture at a time serves", async () => {
  const network = findNetwork('lenet');
  const { weights } = await train(options({ settings: mainFirst }));
  const backbone = backboneOf(network, weights, 10);
  const branchOnly: TrainingSettings = { ...settings, network: 'mine.onnx', phases: [phase('branch', 2)] };
  const trained = await train({ ...options({ settings: branchOnly }), backbone });
  expect([...trained.weights.keys()].every((name) => name.startsWith('branch.'))).toBe(true);
  expect(trained.history[1]!.accuracies.branch).toBeGreaterThan(0.3);

  const fixed = new GraphBuilder('one at a time');
  fixed.input('pixels', 'float32', [1, 1, 28, 28]);
  const { model, ...rest } = backboneOf(network, weights, 10);
  model.graph!.input = fixed.graph.input;
  const again = await train({ ...options({ settings: branchOnly }), backbone: { ...rest, model } });
  for (const [name, values] of trained.weights)
    for (const [i, value] of again.weights.get(name)!.entries())
      expect(Math.abs(value - values[i]!)).toBeLessThan(1e-2);

  await expect(
    train({ ...options({ settings: { ...branchOnly, phases: [phase('main', 1)] } }), backbone }),
  ).rejects.toMatchObject({ code: 'USAGE' });
  await expect(
    train({
      ...options({ settings: branchOnly }),
      data: { ...data, classes: data.classes.slice(0, 9) },
      backbone,
    }),
  ).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('10 classes') });
});

test('a checkpoint is whole or absent, and nothing else is left behind', async () => {
  await train(options());
  expect(await readdir(folder)).toEqual(['c.safetensors']);
  const { tensors, metadata } = readSafetensors(await readFile(join(folder, 'c.safetensors')));
  expect(metadata['format']).toBe('tierwise-checkpoint/2');
  expect(tensors.get('stem.conv.weight')!.dims).toEqual([20, 1, 5, 5]);
});

test('a checkpoint of other settings, or a damaged one, is refused with the reason', async () => {
  const checkpoint = join(folder, 'c.safetensors');
  await train(options());
  await expect(
    train(options({ resume: true, settings: { ...settings, phases: [phase('joint', 4)] } })),
  ).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID', message: expect.stringContaining('phases') });
  const bytes = await readFile(checkpoint);
  await writeFile(checkpoint, bytes.subarray(0, bytes.length - 100));
  await expect(train(options({ resume: true }))).rejects.toMatchObject({ code: 'SAFETENSORS_CORRUPT' });
  await writeFile(checkpoint, 'not a checkpoint');
  await expect(train(options({ resume: true }))).rejects.toMatchObject({ code: 'SAFETENSORS_CORRUPT' });
});

test('data of one class is refused with its name', async () => {
  const labels = data.labels.map(() => 3);
  await expect(train(options({ data: { ...data, labels } }))).rejects.toMatchObject({
    code: 'DATA_CORRUPT',
    message: expect.stringMatching(/tiny.*one class, 3/),
  });
});

test('a checkpoint that finds no room ends the training with its path; the one before it stays whole', async () => {
  const checkpoint = join(folder, 'c.safetensors');
  const first = { ...settings, phases: [phase('main', 1)] };
  await train(options({ settings: first }));
  const before = await readFile(checkpoint);
  // No file of this process may grow beyond 512 bytes: what a full disk does, without filling one.
  const script = `
    import { saveCheckpoint } from ${JSON.stringify(new URL('../dist/training/checkpoint.js', import.meta.url).href)};
    const values = { dtype: 'float32', dims: [4096], data: new Float32Array(4096) };
    await saveCheckpoint(${JSON.stringify(checkpoint)}, {
      settings: { phases: [{}] }, phase: 0, step: 1, history: [], running: [], tensors: new Map([['w', values]]),
    }).catch(({ code, message }) => console.log(code, message));
  `;
  const run = spawnSync(
    'bash',
    ['-c', 'ulimit -f 1; exec "$0" --input-type=module -e "$1"', process.execPath, script],
    {
      encoding: 'utf8',
    },
  );
  expect(run.stdout).toMatch(/^FILE_UNREADABLE .*c\.safetensors cannot be written: EFBIG/);
  expect((await readFile(checkpoint)).equals(before)).toBe(true);
  expect(await readdir(folder)).toEqual(['c.safetensors']);
});

test('the run record has every epoch, as JSON and as a page without scripts', async () => {
  const bundle = join(folder, 'tiny.tierwise');
  const onEpoch = (history: readonly EpochRecord[]) => writeRunRecord(bundle, mainFirst, history);
  const { history } = await train(options({ settings: mainFirst, onEpoch }));
  const { json, page } = runRecordFiles(bundle);
  // A finished training has no epoch left to tell, but its record may be gone.
  for (const file of [json, page]) await rm(file);
  await train(options({ settings: mainFirst, onEpoch, resume: true }));
  expect(JSON.parse((await readFile(json)).toString())).toEqual({
    format: 'tierwise-run/1',
    settings: mainFirst,
    history,
  });
  const html = (await readFile(page)).toString();
  expect(html.match(/<svg/g)?.length).toBe(3);
  expect(html).not.toMatch(/<script|NaN|undefined/);
  expect(html).toContain('temperature');

  await writeRunRecord(bundle, { ...mainFirst, phases: [phase('main', 1)] }, history.slice(0, 1));
  expect((await readFile(page)).toString()).not.toMatch(/temperature|recipe|design/);
});

test('a loss that is not a number ends the training with the step', async () => {
  const diverging = train(
    options({
      settings: {
        ...settings,
        phases: [{ ...phase('joint', 1), optimizer: 'sgd', peakRate: 1e30, warmup: 1 }],
      },
    }),
  );
  await expect(diverging).rejects.toMatchObject({
    code: 'TRAINING_DIVERGED',
    message: expect.stringMatching(/step \d+/),
  });
});
