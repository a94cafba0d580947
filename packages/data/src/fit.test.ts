import { preprocess } from '@tierwise/core';
import { expect, test } from 'vitest';
import type { Dataset } from './dataset.ts';
import { fitted } from './fit.ts';
import { relabelled } from './relabel.ts';

/** `samples` pictures of 3 x 2 pixels whose values count up. */
function counting(channels: 1 | 3, samples: number): Dataset {
  const images = Uint8Array.from({ length: samples * channels * 6 }, (_, i) => (i * 37) % 256);
  const labels = new Uint16Array(samples);
  return { name: 'counting', classes: ['a', 'b'], channels, height: 2, width: 3, images, labels, samples };
}

test('pictures of another size become what a device makes of them, and are counted', () => {
  const size = { channels: 1, height: 4, width: 5 } as const;
  const data = { train: counting(3, 2), test: counting(3, 1), warnings: [] };
  const { train, test: held, warnings } = fitted(data, size);
  expect(train).toMatchObject({ ...size, samples: 2, classes: ['a', 'b'] });
  const second = data.train.images.subarray(18);
  const interleaved = Uint8Array.from({ length: 18 }, (_, i) => second[(i % 3) * 6 + Math.floor(i / 3)]!);
  const device = preprocess(
    { data: interleaved, width: 3, height: 2 },
    { ...size, scale: 1, mean: [0], std: [1] },
  );
  expect([...train.images.subarray(20)]).toEqual([...device.data]);
  expect(held.images).toHaveLength(20);
  expect(warnings).toEqual([
    { kind: 'resized', count: 3, message: 'counting: 3 pictures are resized: 3 x 2 x 3 to 5 x 4 x 1' },
  ]);
});

test('grey pictures fill three channels alike', () => {
  const data = { train: counting(1, 1), test: counting(1, 1), warnings: [] };
  const { train } = fitted(data, { channels: 3, height: 2, width: 3 });
  expect([...train.images]).toEqual([...data.train.images, ...data.train.images, ...data.train.images]);
});

test('pictures of the right size are left as they are', () => {
  const data = { train: counting(1, 2), test: counting(1, 1), warnings: [] };
  expect(fitted(data, { channels: 1, height: 2, width: 3 })).toBe(data);
});

test('more than fits into memory is refused before any work', () => {
  const data = { train: counting(1, 2), test: counting(1, 1), warnings: [] };
  expect(() => fitted(data, { channels: 3, height: 30_000, width: 30_000 })).toThrow(
    /give fewer or a smaller size/,
  );
});

test('classes take the order that a network has them in, and more of them', () => {
  const part = { ...counting(1, 2), labels: Uint16Array.of(0, 1) };
  const { train, test: held } = relabelled({ train: part, test: part, warnings: [] }, ['b', 'none', 'a']);
  expect(train.classes).toEqual(['b', 'none', 'a']);
  expect([[...train.labels], [...held.labels]]).toEqual([
    [2, 0],
    [2, 0],
  ]);
  const data = { train: part, test: part, warnings: [] };
  expect(() => relabelled(data, ['a', 'c'])).toThrow(/class "b" is not among the 2 listed/);
  expect(() => relabelled(data, ['a', 'b', 'a'])).toThrow(/"a" is listed twice/);
});
