import { tensor } from '@tierwise/core';
import { expect, test } from 'vitest';
import type { Backbone } from '../src/frozen/backbone.ts';
import { openBackbone } from '../src/frozen/backbone.ts';
import { int8Teacher } from '../src/frozen/int8.ts';
import { lenet } from '../src/networks/lenet.ts';
import { backboneOf } from '../src/training/phases.ts';
import { drawnFor } from './drawn.ts';
import { tinyData } from './tiny-data.ts';

const samples = 60;
const data = tinyData(samples, 3);
const pixels = tensor('uint8', [samples, 1, 28, 28], data.images);

async function answers(backbone: Backbone) {
  const opened = await openBackbone(backbone, 1);
  return opened.run(pixels).finally(() => opened[Symbol.asyncDispose]());
}

test('a teacher in 8 bits gives the same stems, and nearly the same scores', async () => {
  const backbone = backboneOf(lenet, drawnFor(lenet).main, 10);
  const teacher = await int8Teacher(backbone, pixels, 1);
  const [real, small] = [await answers(backbone), await answers(teacher)];
  expect(small.stem).toEqual(real.stem);
  expect(small.scores.dims).toEqual([samples, 10]);
  expect(small.scores).not.toEqual(real.scores);
  const range = Math.max(...real.scores.data) - Math.min(...real.scores.data);
  for (const [i, score] of small.scores.data.entries())
    expect(Math.abs(score - real.scores.data[i]!)).toBeLessThan(0.05 * range);
  // The network that was given is as it was.
  expect((await answers(backbone)).scores).toEqual(real.scores);
});

test('a network that takes a fixed number of pictures at once does, too', async () => {
  const backbone = backboneOf(lenet, drawnFor(lenet).main, 10);
  const open = await answers(backbone);
  const [input] = backbone.model.graph!.input;
  const type = input!.type!.value;
  if (type.case !== 'tensorType') throw new Error('the input is a tensor');
  type.value.shape!.dim[0]!.value = { case: 'dimValue', value: 20n };
  const teacher = await int8Teacher(backbone, pixels, 1);
  const { scores } = await answers(teacher);
  expect(scores.dims).toEqual([samples, 10]);
  expect(scores.data[599]).toBeCloseTo(open.scores.data[599]!, 0);
});

test('a network that does not bear 8 bits is refused', async () => {
  const { main } = drawnFor(lenet);
  // One channel of the stem is so large that 8 bits leave nothing of the others, and nobody reads it.
  main.get('stem.norm.gamma')![0] = 1e6;
  const second = main.get('main.conv2.weight')!;
  const taps = 25;
  for (let filter = 0; filter < 50; filter++) second.fill(0, filter * 20 * taps, filter * 20 * taps + taps);
  await expect(int8Teacher(backboneOf(lenet, main, 10), pixels, 1)).rejects.toMatchObject({
    code: 'MODEL_UNSUPPORTED',
    message: expect.stringMatching(/^in 8 bits the network gives only \d+ % of 60 pictures/),
  });
});
