import { random, tensor } from '@tierwise/core';
import { extract, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import { expect, test } from 'vitest';
import { exportMain, ports } from '../src/networks/export.ts';

import { lenet } from '../src/networks/lenet.ts';
import type { Network } from '../src/networks/network.ts';
import { inherited } from '../src/start/inherited.ts';
import { settled } from '../src/start/settled.ts';
import { backboneOf } from '../src/training/phases.ts';
import { drawnFor } from './drawn.ts';
import { tinyData } from './tiny-data.ts';

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

/** A few plain layers, with neither batch norm nor anything that would bring their outputs to one size. */
const plain: Network = {
  ...lenet,
  name: 'plain',
  stem: (l, pixels) => l.relu(l.pixelConv(pixels, 'stem.conv', { filters: 6, kernel: 5, bias: true })),
  main(l, stem, classes) {
    const x = l.relu(l.conv(l.maxPool(stem, 2), 'main.conv2', { filters: 8, kernel: 3, bias: true }));
    const y = l.dropout(l.relu(l.dense(l.flatten(x), 'main.fc3', 20)), 'main.drop3', 0.5);
    return l.dense(y, 'main.fc4', classes);
  },
};

test('without batch norm every layer starts with mean 0 and variance 1, and the scores small', async () => {
  const data = tinyData(60, 3);
  const samples = Uint32Array.from({ length: 50 }, (_, i) => i + 5);
  const drawn = drawnFor(plain).main;
  const values = await settled(plain, drawn, { data, samples, threads: 1 });

  // The deployed form of the network, which is written by other code, says what its layers give.
  const { model } = exportMain(plain, values, 10);
  const layers = model.graph!.node.filter(({ opType }) => opType === 'Conv' || opType === 'Gemm');
  expect(layers).toHaveLength(4);
  const pixels = tensor(
    'float32',
    [50, 1, 28, 28],
    Float32Array.from(data.images.subarray(5 * 784, 55 * 784)),
  );
  for (const [at, { output }] of layers.entries()) {
    // The stem's whole-number weights are scaled after its convolution, by a Mul and an Add.
    const name = at === 0 ? model.graph!.node.find(({ opType }) => opType === 'Add')!.output[0]! : output[0]!;
    const piece = extract(model, { inputs: [ports.input], outputs: [name] });
    const session = await openSession(writeOnnx(piece), { threads: 1 });
    const y = (await session.run(new Map([[ports.input, pixels]]))).get(name)!;
    await session.dispose();
    const [n, c, h = 1, w = 1] = y.dims as [number, number, number?, number?];
    const deviation = at === 3 ? 0.1 : 1;
    for (let k = 0; k < c; k++) {
      const of: number[] = [];
      for (let i = 0; i < n; i++)
        for (let p = 0; p < h * w; p++) of.push(Number(y.data[(i * c + k) * h * w + p]) / deviation);
      const mean = of.reduce((sum, v) => sum + v, 0) / of.length;
      const variance = of.reduce((sum, v) => sum + (v - mean) ** 2, 0) / of.length;
      expect(mean).toBeCloseTo(0, 1);
      expect(variance).toBeCloseTo(1, 1);
    }
  }
});

test('a network with batch norms starts as it was drawn', async () => {
  const { main } = drawnFor(lenet);
  const samples = Uint32Array.from({ length: 8 }, () => random(1).below(20));
  expect(await settled(lenet, main, { data: tinyData(20, 3), samples, threads: 1 })).toBe(main);
});
