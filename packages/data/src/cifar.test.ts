import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type ErrorCode, isTierwiseError } from '@tierwise/core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { loadDataset } from './load.ts';

const data = process.env['TIERWISE_DATA'];
const code = (expected: ErrorCode, what: RegExp) =>
  expect.toSatisfy((error: unknown) => isTierwiseError(error, expected) && what.test(error.message));

let home = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tierwise-cifar-'));
  vi.stubEnv('XDG_CACHE_HOME', home);
  vi.stubEnv('TIERWISE_DATA', '');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true });
});

/** Rows of the labels given; red is 10 + label, green 20 + label, blue 30 + label. */
function batch(...labels: number[]): Uint8Array {
  const rows = labels.map((label) => {
    const row = new Uint8Array(3073);
    for (let c = 0; c < 3; c++) row.fill(10 * (c + 1) + label, 1 + 1024 * c, 1 + 1024 * (c + 1));
    row[0] = label;
    return row;
  });
  return Buffer.concat(rows);
}

test('the batches that are there are used, packed or plain, in order and once each', async () => {
  await writeFile(join(home, 'data_batch_10.bin'), batch(9));
  await writeFile(join(home, 'data_batch_2.bin.gz'), gzipSync(batch(1, 2)));
  await writeFile(join(home, 'data_batch_2.bin'), batch(8));
  await writeFile(join(home, 'test_batch.bin'), batch(3));
  const { train, test: held, warnings } = await loadDataset(home);
  expect([...train.labels]).toEqual([1, 2, 9]);
  expect(train).toMatchObject({ channels: 3, height: 32, width: 32, samples: 3 });
  expect(train.images).toHaveLength(3 * 3072);
  expect([0, 1023, 1024, 2048, 3071, 3072].map((at) => train.images[at])).toEqual([11, 11, 21, 31, 31, 12]);
  expect([...held.labels]).toEqual([3]);
  expect(held.classes[3]).toBe('cat');
  expect(warnings).toMatchObject([{ kind: 'part-missing', count: 3 }]);
  expect(warnings[0]!.message).toMatch(/2 of 5 training batches are there, 3 samples/);
});

test('five batches are all of it: no warning', async () => {
  for (const i of [1, 2, 3, 4, 5]) await writeFile(join(home, `data_batch_${i}.bin`), batch(i));
  await writeFile(join(home, 'test_batch.bin'), batch(0));
  expect((await loadDataset(home)).warnings).toEqual([]);
});

test.each<[string, Uint8Array, RegExp]>([
  ['a cut row', batch(1, 2).subarray(0, 6000), /6000 bytes are not a number of rows of 3073/],
  ['nothing', new Uint8Array(0), /0 bytes/],
  ['a label that is no class', batch(1, 10), /label 10 of row 1 is not one of 10 classes/],
  ['half a gzip', gzipSync(batch(1)).subarray(0, 40), /does not unpack/],
])('%s gives DATA_CORRUPT', async (_, bytes, what) => {
  await writeFile(join(home, 'data_batch_1.bin.gz'), bytes);
  await writeFile(join(home, 'test_batch.bin'), batch(0));
  await expect(loadDataset(home)).rejects.toThrow(code('DATA_CORRUPT', what));
  await expect(loadDataset(home)).rejects.toThrow(/data_batch_1\.bin\.gz: /);
});

test('what is not there is named, with where to get it', async () => {
  await expect(loadDataset('cifar-10')).rejects.toThrow(
    code(
      'DATA_MISSING',
      /no data_batch_1\.bin in .*tierwise\/cifar-10; unpack https:.*cifar-10-binary\.tar\.gz/,
    ),
  );
  const unpacked = join(home, 'tierwise', 'cifar-10', 'cifar-10-batches-bin');
  await mkdir(unpacked, { recursive: true });
  await writeFile(join(unpacked, 'data_batch_1.bin'), batch(4));
  await expect(loadDataset('cifar-10')).rejects.toThrow(code('DATA_MISSING', /there is no test_batch\.bin/));
  await writeFile(join(unpacked, 'test_batch.bin'), batch(5));
  expect((await loadDataset('cifar-10')).train).toMatchObject({ name: 'cifar-10', samples: 1 });
  await expect(loadDataset('cifar-10', { signal: AbortSignal.abort() })).rejects.toThrow(
    code('CANCELLED', /abort/),
  );
});

test.skipIf(!data)('cifar-10 is what its publisher counts', async () => {
  vi.stubEnv('TIERWISE_DATA', data);
  const { train, test: held } = await loadDataset('cifar-10');
  const counts = (labels: ArrayLike<number>) =>
    Array.from({ length: 10 }, (_, c) => Array.from(labels).filter((label) => label === c).length);
  expect(counts(held.labels)).toEqual(new Array(10).fill(1000));
  expect(train.samples % 10_000).toBe(0);
  expect(counts(train.labels.subarray(0, 10_000))).toEqual([
    1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981,
  ]);
  const mean = (c: number) => {
    let sum = 0;
    for (let n = 0; n < held.samples; n++)
      for (let i = 0; i < 1024; i++) sum += held.images[n * 3072 + c * 1024 + i]!;
    return sum / held.samples / 1024 / 255;
  };
  expect(mean(0)).toBeCloseTo(0.494, 2);
  expect(mean(2)).toBeCloseTo(0.45, 2);
});
