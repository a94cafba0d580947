import { expect, test } from 'vitest';
import { lenet } from '../src/networks/lenet.ts';
import type { Network } from '../src/networks/network.ts';
import { inherited } from '../src/start/inherited.ts';
import { backboneOf } from '../src/training/phases.ts';
import { drawnFor } from './drawn.ts';

test('a branch starts with the signs of the layers it mirrors, each filter in its usual size', () => {
  const { main, branch, parameters } = drawnFor(lenet);
  const values = inherited(branch, parameters, backboneOf(lenet, main, 10));
  for (const [own, from, filters] of [
    ['branch.1.conv1.latent', 'main.conv2.weight', 50],
    ['branch.dense1.latent', 'main.fc3.weight', 500],
  ] as const) {
    const [taken, weights] = [values.get(own)!, main.get(from)!];
    expect(Array.from(taken, Math.sign)).toEqual(Array.from(weights, Math.sign));
    const taps = weights.length / filters;
    const last = taken.subarray(-taps);
    expect(last.reduce((sum, w) => sum + w * w, 0)).toBeCloseTo(2, 3);
    const factor = last[0]! / weights.at(-taps)!;
    expect(last.at(-1)! / weights.at(-1)!).toBeCloseTo(factor, 4);
  }
  const others = parameters.filter(({ kind }) => kind !== 'latent');
  expect(others.length).toBeGreaterThan(0);
  for (const { name } of others) expect(values.get(name)).toBe(branch.get(name));
});

test('a branch whose layers have other shapes stays as it was drawn', () => {
  const { main } = drawnFor(lenet);
  const other: Network = {
    ...lenet,
    mirror: { blocks: [{ ...lenet.mirror.blocks[0]!, filters: 49 }], dense: [33] },
  };
  const { branch, parameters } = drawnFor(other);
  expect(inherited(branch, parameters, backboneOf(lenet, main, 10))).toEqual(branch);
});
