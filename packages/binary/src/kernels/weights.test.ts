import { expect, test } from 'vitest';
import { greatestWhole } from './weights.ts';

const weights = (...stream: number[]) => ({
  outputs: 2,
  pixels: stream.length / 2,
  channels: 1,
  stream: Int16Array.from(stream),
});

test('whole values are taken as integers as far as float32 counts their sums exactly', () => {
  expect(greatestWhole(weights(30000, -2000, 1, 1))).toBe(Math.floor(2 ** 24 / 32000));
  expect(greatestWhole(weights(1, 0, 0, -511))).toBe(32767);
  expect(greatestWhole(weights(1, 0, 0, -513))).toBe(32704);
  expect(greatestWhole(weights(0, 0))).toBe(32767);
});
