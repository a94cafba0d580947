import { findStem, importClassifier, summarize } from '@tierwise/graph';
import { expect, test } from 'vitest';
import { imagenetGraphs } from './imagenet.ts';

/**
 * Parameters as torchvision counts them, running statistics of batch norm (two a channel) and the
 * bounds of ReLU6, multiply-adds in millions as
 * its model zoo or the papers give them, and what leaves the first stage: [c, h, w].
 */
test.each([
  ['alexnet-224', 61_100_840, 0, 714, [64, 27, 27]],
  ['resnet18-224', 11_689_512, 9600, 1814, [64, 56, 56]],
  ['vgg16-224', 138_357_544, 0, 15_470, [64, 224, 224]],
  ['mobilenet-v2-224', 3_504_872, 34_112 + 2, 301, [32, 112, 112]],
] as const)('%s has the published size and work', (name, parameters, statistics, megaMacs, stem) => {
  const model = imagenetGraphs[name]!();
  const { totals, tensors, outputs, cuts } = summarize(model);
  expect(totals.parameterBytes).toBe(4 * (parameters + statistics));
  // Beside the multiply-adds there are norms, activations and pools.
  expect(totals.flops / 2e6).toBeGreaterThan(megaMacs);
  expect(totals.flops / 2e6).toBeLessThan(1.06 * megaMacs);
  expect(outputs).toMatchObject([{ name: 'scores', dims: [1, 1000] }]);
  expect(tensors.find((entry) => entry.name === findStem(model))!.dims).toEqual([1, ...stem]);
  expect(cuts.length).toBeGreaterThan(10);
  expect(importClassifier(model).scores.classes).toBe(1000);
});
