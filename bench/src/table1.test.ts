import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tensor, writeSafetensors } from '@tierwise/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { htmlReport } from './report.ts';
import { repository } from './runs.ts';
import { benchTable1 } from './table1.ts';
import { table1Rows } from './table1-rows.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tierwise-table1-'));
  await mkdir(join(root, 'runs'));
  await mkdir(join(root, 'models'));
});
afterEach(() => rm(root, { recursive: true }));

const options = (...cases: string[]) => ({
  chromePath: undefined,
  signal: new AbortController().signal,
  onProgress: () => {},
  cases,
});

test('a row that is not trained stays, with the paper and the command; one under way says how far it is', async () => {
  const checkpoint = (training: string) =>
    writeFile(
      join(root, 'runs/resnet18-cifar-10.tierwise.checkpoint.safetensors'),
      writeSafetensors(new Map([['x', tensor('float32', [1], Float32Array.of(0))]]), { training }),
    );
  await checkpoint(
    JSON.stringify({
      settings: {
        samples: 20_000,
        holdout: 5000,
        phases: [
          { kind: 'main', epochs: 60 },
          { kind: 'branch', epochs: 30 },
        ],
      },
      phase: 0,
      history: [{ phase: 'main' }, { phase: 'main' }],
    }),
  );
  await writeFile(
    join(root, 'runs/resnet18-cifar-10.run.json'),
    JSON.stringify({
      format: 'tierwise-run/1',
      history: [1, 2].map((epoch) => ({
        phase: 'main',
        epoch,
        losses: { main: 2 / epoch },
        accuracies: { main: epoch / 4 },
        rate: 0.1,
        seconds: 1,
      })),
    }),
  );
  const { rows, blocks } = await benchTable1(options(), root);
  expect(rows.map((row) => row.case)).toEqual(table1Rows.map(({ name }) => name));
  const state = (name: string) => rows.find((row) => row.case === name)!.facts!['state'];
  expect(state('resnet18-cifar-10')).toBe('unfinished: 2 epochs done of main 60, branch 30, now main');
  expect(state('vgg16-imagenet-150')).toBe('not trained here');
  for (const row of rows) {
    expect(row.facts!['command']).toMatch(/^npx tierwise (train|attach) /);
    expect(row.metrics['paperBranchBytes']).toBeGreaterThan(100_000);
    expect(row.metrics['mainAccuracy']).toBeUndefined();
  }
  expect(htmlReport({ bench: 'table1', conditions: {}, rows, blocks: blocks! })).toContain(
    'not trained here',
  );
  expect(blocks!.flatMap((block) => (block.kind === 'lines' ? [block.title] : []))).toContain(
    'resnet18-cifar-10, training: Loss',
  );
  await checkpoint('{');
  const [again] = (await benchTable1(options('resnet18-cifar-10'), root)).rows;
  expect(again!.facts!['state']).toBe('unfinished: its checkpoint cannot be read');
});

test.skipIf(!process.env['TIERWISE_DATA'])(
  'a trained row is measured now, whatever its seed, and says which checks hold',
  async () => {
    await cp(
      join(repository, 'models/lenet-mnist.tierwise'),
      join(root, 'models/lenet-mnist-seed2.tierwise'),
      { recursive: true },
    );
    const { rows, blocks } = await benchTable1(options('lenet-mnist'), root);
    expect(rows[0]!.metrics).toMatchObject({ seeds: 1, testSamples: 10_000, branchBytes: 63_193 });
    const { mainAccuracy, mainAccuracyLow, mainAccuracyHigh } = rows[0]!.metrics;
    expect(mainAccuracy).toBeCloseTo(0.9947, 6);
    expect(mainAccuracyLow).toBeLessThan(mainAccuracy!);
    expect(mainAccuracyHigh).toBeGreaterThan(mainAccuracy!);
    expect(rows[0]!.facts).toMatchObject({ state: 'trained', branchNotLarger: true, exitsEnough: true });
    expect(blocks!.filter(({ kind }) => kind === 'lines')).not.toEqual([]);
  },
);
