import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tinyData } from '../../test/tiny-data.ts';
import { findNetwork } from '../networks/index.ts';
import { type ExploreOptions, type ExploreSettings, exploreBranches, partOf } from './explore.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-explore-'));
});
afterEach(() => rm(folder, { recursive: true }));

const settings: ExploreSettings = {
  network: 'lenet-small',
  data: 'tiny',
  recipe: 'xnor',
  samples: 700,
  holdout: 100,
  epochs: 1,
  branchEpochs: 1,
  seed: 3,
};

const options = (more: Partial<ExploreOptions> = {}): ExploreOptions => ({
  settings,
  network: findNetwork(settings.network),
  train: tinyData(800, 1),
  blocks: [1],
  dense: [0, 1],
  folder,
  threads: 2,
  signal: new AbortController().signal,
  onProgress: () => {},
  ...more,
});

test('parts of the mirrored branch, and more of the same', () => {
  const { mirror } = findNetwork('lenet');
  const [first] = mirror.blocks;
  expect(partOf(mirror, 1, 0)).toEqual({ blocks: [first], dense: [] });
  const more = partOf(mirror, 3, 2);
  expect(more.blocks[0]).toEqual(first);
  expect(more.blocks[2]).toMatchObject({ filters: first!.filters, stride: 1, pool: false });
  expect(more.dense).toEqual([500, 500]);
  expect(partOf(findNetwork('resnet18').mirror, 2, 1).dense).toEqual([256]);
});

test('every pair is trained and measured; broken off it goes on, and what is done is not done again', async () => {
  const stop = new AbortController();
  const broken = exploreBranches(
    options({ signal: stop.signal, onProgress: (what, p) => what === '1-1' && p && stop.abort() }),
  );
  await expect(broken).rejects.toMatchObject({ code: 'CANCELLED' });
  const trained = new Set<string>();
  const found = await exploreBranches(options({ onProgress: (what, p) => p && trained.add(what) }));
  expect([...trained]).toEqual(['1-1']);
  expect(found.branches.map(({ blocks, dense, convolutions }) => [blocks, dense, convolutions])).toEqual([
    [1, 0, 1],
    [1, 1, 1],
  ]);
  const [plain, withDense] = found.branches;
  expect(withDense!.bytes).toBeGreaterThan(plain!.bytes);
  expect(withDense!.accuracy).toBeGreaterThan(0.15);
  expect(found.mainAccuracy).toBeGreaterThan(0.15);
  expect(JSON.parse(await readFile(join(folder, 'results.json'), 'utf8'))).toMatchObject(found);
  const less = await exploreBranches(options({ dense: [1] }));
  expect(less.branches).toEqual([withDense]);
});

test('runs with other settings, or a damaged file, are refused with the reason', async () => {
  await exploreBranches(options({ dense: [0] }));
  const other = exploreBranches(options({ settings: { ...settings, epochs: 2 } }));
  await expect(other).rejects.toMatchObject({
    code: 'CHECKPOINT_INVALID',
    message: expect.stringContaining('epochs 1, not 2'),
  });
  await writeFile(join(folder, 'results.json'), '{');
  await expect(exploreBranches(options())).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
});
