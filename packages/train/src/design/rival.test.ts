import { summarize } from '@tierwise/graph';
import { expect, test } from 'vitest';
import { tinyData } from '../../test/tiny-data.ts';
import { findNetwork } from '../networks/index.ts';
import { trainRival } from './rival.ts';

const options = (more: Partial<Parameters<typeof trainRival>[0]> = {}) => ({
  network: { ...findNetwork('lenet'), name: 'small' },
  data: tinyData(400, 1),
  epochs: 1,
  seed: 1,
  threads: 2,
  signal: new AbortController().signal,
  onProgress: () => {},
  ...more,
});

test('a rival is trained alone or by a teacher, and comes as a graph from pixels to scores', async () => {
  const steps: number[] = [];
  const alone = await trainRival(options({ onProgress: ({ step }) => steps.push(step) }));
  expect(steps).toEqual([1, 2]);
  const { inputs, outputs } = summarize(alone);
  expect(inputs.map(({ name, dims }) => [name, dims])).toEqual([['pixels', [1, 1, 28, 28]]]);
  expect(outputs.map(({ name, dims }) => [name, dims])).toEqual([['scores', [1, 10]]]);
  const student = await trainRival(options({ teacher: alone }));
  const bytes = (model: typeof alone) => model.graph!.initializer.map((one) => one.rawData);
  expect(bytes(student)).not.toEqual(bytes(alone));
});

test('a rival can be cancelled', async () => {
  const stop = new AbortController();
  const broken = trainRival(options({ signal: stop.signal, onProgress: () => stop.abort() }));
  await expect(broken).rejects.toMatchObject({ code: 'CANCELLED' });
});
