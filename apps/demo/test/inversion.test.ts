import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Inverter, isInverter, rebuild } from '../src/inversion.ts';

const read = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));

test.each(['lenet-mnist', 'lenet-fashion'])('the inverter of %s fits the committed bundle', (name) => {
  const { branch, stem } = read(`../../../models/${name}.tierwise/manifest.json`);
  const inverter: unknown = read(`../public/inverters/${name}.json`);
  expect(isInverter(inverter, branch.artifact.digest, stem.dims)).toBe(true);
  expect(isInverter(inverter, '0'.repeat(64), stem.dims)).toBe(false);
  expect(isInverter({ ...(inverter as Inverter), weights: [] }, branch.artifact.digest, stem.dims)).toBe(
    false,
  );
});

test('each pixel is the weighted sum of its window', () => {
  const inverter: Inverter = {
    branch: '',
    grid: {
      picture: [1, 4, 4],
      stem: [1, 2, 2],
      rows: 2,
      columns: 2,
      strideY: 2,
      strideX: 2,
      top: 0,
      left: 0,
      padY: 0,
      padX: 0,
    },
    side: 1,
    scale: 0.5,
    // Of the four pixels of a cell: the value, its double, a constant, nothing.
    weights: [1, 0, 2, 0, 0, 0.2, 0, 0],
  };
  const picture = rebuild(inverter, Float32Array.of(0.2, 0.4, 0.8, 3));
  expect([...picture]).toEqual([26, 51, 51, 102, 51, 0, 51, 0, 102, 204, 255, 255, 51, 0, 51, 0]);
});
