import { expect, test } from 'vitest';
import { calibrateRange } from './calibrate.ts';

test('the range begins at 0 where nothing is below it, and leaves the last thousandth out', () => {
  const stems = Float32Array.from({ length: 10_000 }, (_, i) => (i * 7919) % 10_000);
  expect(calibrateRange(stems)).toEqual({ lo: 0, hi: 9990 });
});

test('a stem that no ReLU ends is covered below 0, too', () => {
  const stems = Float32Array.from({ length: 10_000 }, (_, i) => ((i * 7919) % 10_000) - 5000);
  expect(calibrateRange(stems)).toEqual({ lo: -4990, hi: 4990 });
});

test('stems that hold one number still give a range', () => {
  for (const value of [0, -3]) {
    const { lo, hi } = calibrateRange(new Float32Array(10).fill(value));
    expect(hi).toBeGreaterThan(lo);
  }
});
