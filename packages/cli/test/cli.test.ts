/** The command as a user starts it: its own process, the compiled packages. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadDataset } from '@tierwise/data';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyData } from '../../train/test/tiny-data.ts';

const bin = fileURLToPath(new URL('../bin/tierwise.js', import.meta.url));
const models = fileURLToPath(new URL('../../../models', import.meta.url));
const bundle = join(models, 'lenet-mnist.tierwise');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-cli-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [bin, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<Ended>((resolve) => {
    let [stdout, stderr] = ['', ''];
    child.stdout!.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr!.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
  return { child, ended };
}

const tierwise = (...args: string[]): Promise<Ended> => start(...args).ended;

/** `--json` prints one object and nothing else on stdout. */
async function json(...args: string[]): Promise<{ status: number | null; value: Record<string, unknown> }> {
  const { status, stdout } = await tierwise(...args, '--json');
  return { status, value: JSON.parse(stdout) };
}

test('help names every command, and each command has its own', async () => {
  const { status, stdout } = await tierwise('--help');
  expect(status).toBe(0);
  for (const command of [
    'train',
    'eval',
    'leakage',
    'threshold',
    'rejection',
    'branch',
    'inspect',
    'edge',
    'run',
    'doctor',
  ]) {
    expect(stdout).toContain(command);
    const own = await tierwise(command, '--help');
    expect(own.status).toBe(0);
    expect(own.stdout).toContain('--json');
  }
});

test('doctor tries what is there', async () => {
  const { status, value } = await json('doctor');
  expect(status).toBe(0);
  expect(value['checks']).toEqual(
    expect.arrayContaining([expect.objectContaining({ name: 'onnxruntime', ok: true, found: 'runs' })]),
  );
});

test('inspect explains a bundle, its branch and its graph', async () => {
  const whole = await json('inspect', bundle);
  expect(whole.value).toMatchObject({
    manifest: { name: 'lenet-mnist' },
    program: { binaryMacs: 2_000_000 },
  });
  const branch = await json('inspect', join(bundle, 'branch.safetensors'));
  expect(branch.value).toMatchObject({ binaryMacs: 2_000_000 });
  const graph = await json('inspect', join(bundle, 'model.onnx'));
  expect(graph.value).toMatchObject({ stem: 'stem' });
  const { stdout } = await tierwise('inspect', bundle);
  expect(stdout).toContain('convBinary');
});

test('plan compares the strategies, and leaves out what may not be', async () => {
  const { value } = await json('plan', bundle, '--link', 'slow-4g');
  expect(value).toMatchObject({
    plans: [{ strategy: 'lcdnn', predicted: { exitRate: expect.any(Number) } }, { strategy: 'device-only' }],
  });
  const raw = await json('plan', bundle, '--strategy', 'edge-only', '--raw-input');
  expect(raw.value).toMatchObject({ plans: [{ strategy: 'edge-only', predicted: { uplinkBytes: 784 } }] });
});

test.each([
  [bundle, 'as measured', 3],
  ['lenet', 'assumed', 3],
  [join(bundle, 'model.onnx'), 'as you say', 1],
])('branch compares the places of %s', async (target, source, least) => {
  const rate = source === 'as you say' ? ['--exit-rate', '0.5'] : [];
  const { status, value } = await json('branch', target, '--link', 'slow-4g', ...rate);
  expect(status).toBe(0);
  const [on] = value['links'] as { places: unknown[]; verdict: string }[];
  expect(value).toMatchObject({ exitRate: { source }, links: [{ link: 'slow-4g' }] });
  expect(on!.places.length).toBeGreaterThanOrEqual(least);
  expect(on!.verdict).toContain('slow-4g');
});

test('cut writes two graphs that do together what the whole one does', async () => {
  const cut = await json('cut', join(bundle, 'model.onnx'), '--at', 'stem', '-o', 'pieces');
  expect(cut).toMatchObject({
    status: 0,
    value: { pieces: [{ outputs: [{ name: 'stem' }] }, { inputs: [{ name: 'stem' }] }] },
  });
  const tail = await json('inspect', 'pieces/tail.onnx');
  expect(tail.value).toMatchObject({
    inputs: [{ name: 'stem', dims: [1, 20, 12, 12] }],
    outputs: [{ name: 'scores' }, { name: 'branch_scores' }],
  });
});

test.each([
  [['cut', join(bundle, 'model.onnx'), '--at', 'nothing', '-o', 'pieces'], 1, 'TENSOR_INVALID'],
  [['plan', bundle, '--link', 'string'], 2, 'USAGE'],
  [['plan', bundle, '--strategy', 'edge-only'], 1, 'PLAN_INVALID'],
  [['inspect', 'nowhere.onnx'], 1, 'FILE_UNREADABLE'],
  [['inspect', bin], 1, 'MODEL_CORRUPT'],
  [['eval', 'nowhere.tierwise', '--data', 'mnist'], 1, 'FILE_UNREADABLE'],
  [['eval', bundle, '--data', 'nothing'], 1, 'DATA_MISSING'],
  [['leakage', 'nowhere.tierwise', '--data', 'mnist'], 1, 'FILE_UNREADABLE'],
  [['branch', 'lenot'], 2, 'USAGE'],
  [['branch', 'nowhere.onnx'], 1, 'FILE_UNREADABLE'],
  [['branch', 'lenet', '--link', 'string'], 2, 'USAGE'],
  [['branch', '--explore', 'lenet'], 2, 'USAGE'],
  [['branch', '--explore', '--place', 'lenet'], 2, 'USAGE'],
  [['bench', 'table1', '--case', 'nothing'], 2, 'USAGE'],
  [['run', bundle, 'nowhere.png'], 1, 'FILE_UNREADABLE'],
  [['run', bundle, bin], 1, 'IMAGE_INVALID'],
  [['run', bundle, bin, '--strategy', 'guess'], 2, 'USAGE'],
  [['train', '--network', 'vgg', '--data', 'mnist', '-o', 'x.tierwise'], 2, 'USAGE'],
  [['train', '--network', 'lenet', '--data', 'mnist', '-o', 'x'], 2, 'USAGE'],
  [['edge', '--models', 'nowhere'], 1, 'FILE_UNREADABLE'],
])('%j ends with %d and %s in one object', async (args, status, code) => {
  const ended = await json(...args);
  expect(ended).toMatchObject({
    status,
    value: { code, error: expect.any(String), remedy: expect.any(String) },
  });
});

test('a wrong option is explained, with status 2', async () => {
  const ended = await tierwise(
    'train',
    '--network',
    'lenet',
    '--data',
    'mnist',
    '-o',
    'x.tierwise',
    '--epochs',
    'many',
  );
  expect(ended.status).toBe(2);
  expect(ended.stderr).toContain('whole number');
  expect((await tierwise('dance')).status).toBe(2);
});

describe('run', () => {
  test('classifies a picture on this machine, and says when an edge was needed and missing', async () => {
    const grey = Buffer.alloc(28 * 28);
    for (let y = 4; y < 24; y++) for (let x = 13; x < 16; x++) grey[y * 28 + x] = 255;
    const image = join(folder, 'one.png');
    await sharp(grey, { raw: { width: 28, height: 28, channels: 1 } })
      .png()
      .toFile(image);
    const { value } = await json('run', bundle, image, '--threshold', '1.01');
    expect(value).toMatchObject({
      model: 'lenet-mnist',
      answers: [{ label: '1', tier: 'device', exit: 'branch', familiar: true, energy: expect.any(Number) }],
    });
    const alone = await json('run', bundle, image, '--threshold', '0');
    expect(alone.value).toMatchObject({ answers: [{ label: '1', degraded: { code: 'EDGE_UNREACHABLE' } }] });
    const whole = await json('run', bundle, image, '--strategy', 'device-only');
    expect(whole.value).toMatchObject({ answers: [{ label: '1', exit: 'main' }] });
    expect((whole.value['answers'] as object[])[0]).not.toHaveProperty('familiar');
  });

  test.skipIf(!process.env['TIERWISE_DATA'])(
    'tells most clothes to be no digits, and hardly a digit',
    async () => {
      const rejected = async (data: string) => {
        const { images } = (await loadDataset(data)).test;
        const files = Array.from({ length: 40 }, (_, i) => join(folder, `${data}-${i}.png`));
        for (const [i, file] of files.entries())
          await sharp(images.subarray(i * 784, (i + 1) * 784), {
            raw: { width: 28, height: 28, channels: 1 },
          })
            .png()
            .toFile(file);
        const { value } = await json('run', bundle, ...files);
        return (value['answers'] as { familiar: boolean }[]).filter(({ familiar }) => !familiar).length;
      };
      expect(await rejected('mnist')).toBeLessThan(5);
      expect(await rejected('fashion-mnist')).toBeGreaterThan(25);
      expect((await tierwise('run', bundle, 'fashion-mnist-0.png')).stdout).toMatch(/familiar.*\n.* no /);
    },
  );

  test('is finished by an edge in another process, which drains on SIGTERM', async () => {
    const edge = start('edge', '--models', models, '--port', '0', '--json');
    const { url } = await new Promise<{ url: string }>((resolve) =>
      edge.child.stdout!.once('data', (line) => resolve(JSON.parse(String(line)))),
    );
    for (const source of [[bundle, '--edge', url], [`${url}/models/lenet-mnist`]]) {
      const [from, ...flags] = source as [string, ...string[]];
      const { value } = await json('run', from, join(folder, 'one.png'), '--threshold', '0', ...flags);
      expect(value).toMatchObject({ answers: [{ label: '1', tier: 'edge', exit: 'main' }] });
    }
    edge.child.kill('SIGTERM');
    expect((await edge.ended).status).toBe(0);
  });
});

describe('train', () => {
  const flags = [
    '--network',
    'lenet',
    '--data',
    './tiny',
    '--batch',
    '20',
    '--holdout',
    '60',
    '--epochs',
    '4',
    '--rate',
    '0.002',
    '--threads',
    '2',
  ];

  beforeAll(async () => {
    await mkdir(join(folder, 'tiny'));
    for (const [half, samples, seed] of [
      ['train', 260, 1],
      ['t10k', 100, 2],
    ] as const) {
      const { images, labels } = tinyData(samples, seed);
      const header = (...words: number[]) => {
        const bytes = Buffer.alloc(4 * words.length);
        for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, 4 * i);
        return bytes;
      };
      await writeFile(
        join(folder, 'tiny', `${half}-images-idx3-ubyte`),
        Buffer.concat([header(0x803, samples, 28, 28), images]),
      );
      await writeFile(
        join(folder, 'tiny', `${half}-labels-idx1-ubyte`),
        Buffer.concat([header(0x801, samples), Uint8Array.from(labels)]),
      );
    }
  });

  test('killed in the middle it leaves a whole checkpoint and no bundle; resumed it writes what an unbroken run writes', async () => {
    const whole = await tierwise('train', ...flags, '-o', 'whole.tierwise', '--json');
    expect(whole.status, whole.stderr).toBe(0);
    expect(JSON.parse(whole.stdout)).toMatchObject({
      main: { accuracy: expect.any(Number) },
      test: { samples: 100 },
    });

    const checkpoint = join(folder, 'killed.tierwise.checkpoint.safetensors');
    const killed = start('train', ...flags, '-o', 'killed.tierwise', '--checkpoint-steps', '1');
    await expect
      .poll(async () => (await readFile(checkpoint).catch(() => undefined)) !== undefined, {
        timeout: 60_000,
        interval: 20,
      })
      .toBe(true);
    killed.child.kill('SIGKILL');
    expect((await killed.ended).status).not.toBe(0);
    expect(await readdir(folder)).not.toContain('killed.tierwise');

    const resumed = await tierwise('train', ...flags, '-o', 'killed.tierwise', '--resume');
    expect(resumed.status, resumed.stderr).toBe(0);
    for (const file of ['branch.safetensors', 'model.onnx'])
      expect(
        (await readFile(join(folder, 'killed.tierwise', file))).equals(
          await readFile(join(folder, 'whole.tierwise', file)),
        ),
      ).toBe(true);

    const measured = await json('eval', 'killed.tierwise', '--data', './tiny');
    expect(measured.value).toMatchObject({
      main: { accuracy: expect.any(Number) },
      branch: { accuracy: expect.any(Number), bytes: expect.any(Number) },
      composite: {
        accuracy: expect.any(Number),
        exitRate: expect.any(Number),
        threshold: expect.any(Number),
        codec: expect.any(String),
      },
      test: { samples: 100 },
    });

    const shown = await json('threshold', 'killed.tierwise', '--data', './tiny', '--html', 't.html');
    expect(shown).toMatchObject({
      status: 0,
      value: { samples: { from: 'held-back', count: 60 }, written: false, curve: expect.any(Array) },
    });
    expect(await readFile(join(folder, 't.html'), 'utf8')).toContain('<svg');
    const all = ['threshold', 'killed.tierwise', '--data', './tiny', '--min-exit', '1'];
    expect((await tierwise(...all, '--samples', 'test')).stderr).toContain('has seen the answers');
    expect((await json(...all, '--write')).value).toMatchObject({
      written: true,
      chosen: { exitRate: 1, uploadBytes: 0, accuracyInterval: [expect.any(Number), expect.any(Number)] },
    });
    const after = await json('eval', 'killed.tierwise', '--data', './tiny');
    expect(after.value).toMatchObject({
      composite: { exitRate: 1, exitRateInterval: [expect.any(Number), 1] },
    });
    const { manifest } = (await json('inspect', 'killed.tierwise')).value as {
      manifest: Record<string, unknown>;
    };
    expect(manifest).toMatchObject({
      measured: { exitRate: 1 },
      provenance: { threshold: { minExitRate: 1 } },
    });
    // What the bundle was made with is what the command finds, and puts back where it is missing.
    const { rejection } = manifest;
    expect(rejection).toEqual({ energy: expect.any(Number), knownRejected: expect.closeTo(0.05, 2) });
    const chosen = await json('rejection', 'killed.tierwise', '--data', './tiny');
    expect(chosen.value).toMatchObject({
      samples: { from: 'held-back', count: 60 },
      inBundle: rejection,
      chosen: rejection,
      written: false,
    });
    const file = join(folder, 'killed.tierwise', 'manifest.json');
    const text = await readFile(file, 'utf8');
    await writeFile(file, JSON.stringify({ ...manifest, rejection: undefined }));
    expect((await tierwise('inspect', 'killed.tierwise')).stdout).toContain('rejects nothing');
    expect((await tierwise('rejection', 'killed.tierwise', '--data', './tiny', '--write')).status).toBe(0);
    expect(await readFile(file, 'utf8')).toBe(text);
    // Strangers may have any number of classes.
    for (const name of ['white', 'grey']) {
      await mkdir(join(folder, 'others', name), { recursive: true });
      const background = name === 'white' ? '#fff' : '#888';
      for (let i = 0; i < 10; i++)
        await sharp({ create: { width: 28, height: 28, channels: 3, background } })
          .png()
          .toFile(join(folder, 'others', name, `${i}.png`));
    }
    const strange = await json('eval', 'killed.tierwise', '--data', './tiny', '--strangers', './others');
    expect(strange.value).toMatchObject({
      confidence: {
        rejection: {
          threshold: (rejection as { energy: number }).energy,
          strangers: { data: './others', rejected: expect.any(Number), auroc: expect.any(Number) },
        },
      },
    });
    const other = await json('threshold', bundle, '--data', './tiny');
    expect(other.value).toMatchObject({ code: 'USAGE', error: expect.stringContaining('held-back') });
  });

  test('a step goes out as files and its training on from there; another branch takes the trained network', async () => {
    const first = [...flags, '--network', 'lenet-small', '--schedule', 'main-first', '--branch-epochs', '1'];
    const out = await json('train', ...first, '-o', 'first.tierwise', '--export-step', 'step');
    expect(out).toMatchObject({ status: 0, value: { folder: 'step', phase: 'main' } });
    expect(await readdir(join(folder, 'step'))).toEqual(['plan.json', 'step.onnx']);
    const early = await json('train', ...first, '-o', 'first.tierwise', '--resume', '--export-step', 'step');
    expect(early.value).toMatchObject({ phase: 'main', step: 0 });
    expect((await json('train', ...first, '-o', 'first.tierwise', '--resume')).status).toBe(0);

    const main = ['--main', 'first.tierwise.checkpoint.safetensors'];
    const another = [...first, ...main, '--branch-depth', '1', '-o', 'second.tierwise'];
    const branch = await json('train', ...another, '--export-step', 'step');
    expect(branch.value).toMatchObject({ phase: 'branch', step: 0 });
    expect(await readdir(join(folder, 'step'))).toContain('backbone.onnx');
    const second = await json('train', ...another);
    expect(second.status).toBe(0);
    const accuracyOf = async (name: string) =>
      ((await json('eval', name, '--data', './tiny')).value as { main: { accuracy: number } }).main.accuracy;
    expect(await accuracyOf('second.tierwise')).toBe(await accuracyOf('first.tierwise'));
    const other = await json('train', ...first, ...main, '--seed', '2', '-o', 'third.tierwise');
    expect(other.value).toMatchObject({ code: 'CHECKPOINT_INVALID', error: expect.stringContaining('seed') });
  });

  test('a network is trained alone, given a branch at another place, and taken for one of its own', async () => {
    const alone = [...flags, '--network', 'lenet-small', '--schedule', 'main-only'];
    for (const wrong of [
      [...alone, '-o', 'alone.tierwise'],
      [...alone, '-o', 'alone.onnx', '--branch-depth', '2'],
      [...alone, '-o', 'alone.onnx', '--views', '1'],
      [...flags, '-o', 'alone.onnx'],
    ])
      expect((await json('train', ...wrong)).value).toMatchObject({ code: 'USAGE' });
    const { status, value } = await json('train', ...alone, '-o', 'alone.onnx');
    expect(status).toBe(0);
    const { main } = value as { main: { accuracy: number; bytes: number } };
    expect(main.bytes).toBe((await readFile(join(folder, 'alone.onnx'))).length);
    expect(await readdir(folder)).toContain('alone.onnx.run.html');

    const at = ['--at', 'maxpool_2', '--scale', '1', '--epochs', '1', '--branch-depth', '1'];
    const attached = await json('attach', 'alone.onnx', '--data', './tiny', '-o', 'attached.tierwise', ...at);
    expect(attached.value).toMatchObject({ main: { accuracy: main.accuracy } });

    const first = alone.with(-1, 'main-first').concat('--main', 'alone.onnx.checkpoint.safetensors');
    const branch = await json('train', ...first, '--branch-epochs', '1', '-o', 'alone.tierwise');
    expect(branch.value).toMatchObject({ main: { accuracy: main.accuracy } });

    const narrow = alone.with(alone.indexOf('lenet-small'), 'lenet-narrow');
    const student = [...narrow, '--student-of', 'alone.tierwise', '--teacher', 'int8'];
    const joint = student.with(student.indexOf('main-only'), 'joint');
    expect((await json('train', ...joint, '-o', 'student.tierwise')).value).toMatchObject({
      code: 'USAGE',
      error: expect.stringContaining('main-only'),
    });
    const coloured = student.with(student.indexOf('lenet-narrow'), 'alexnet');
    expect((await json('train', ...coloured, '-o', 'student.onnx')).value).toMatchObject({
      code: 'USAGE',
      error: expect.stringMatching(/alone.tierwise takes pictures of \[1,28,28\], its student \[3,32,32\]/),
    });
    const taught = await json('train', ...student, '-o', 'student.onnx');
    expect(taught.value).toMatchObject({ main: { accuracy: expect.any(Number) } });
    expect(await readFile(join(folder, 'student.onnx.run.html'), 'utf8')).toContain('alone.tierwise');
    expect((await json('train', ...narrow, '--resume', '-o', 'student.onnx')).value).toMatchObject({
      code: 'CHECKPOINT_INVALID',
    });
  });

  test('branch --explore trains what is not there yet, and leaves results and a report', async () => {
    const short = ['--samples', '260', '--holdout', '60', '--epochs', '1', '--branch-epochs', '1'];
    const explore = ['branch', '--explore', 'lenet-small', '--data', './tiny', '--blocks', '1', ...short];
    const { status, value } = await json(...explore, '--dense', '0', '-o', 'explored');
    expect(status).toBe(0);
    expect(value).toMatchObject({ branches: [{ blocks: 1, dense: 0, bytes: expect.any(Number) }] });
    expect(await readdir(join(folder, 'explored'))).toEqual(
      expect.arrayContaining(['report.html', 'results.json']),
    );
    const other = await json(...explore, '--dense', '0', '-o', 'explored', '--seed', '2');
    expect(other.value).toMatchObject({ code: 'CHECKPOINT_INVALID' });
  });
});
