import fc from 'fast-check';
import { expect, test } from 'vitest';
import { wilson } from './interval.ts';

test.each([
  // Newcombe, Statistics in Medicine 17 (1998), Table I, method 3.
  [81, 263, 0.2553, 0.3662],
  [15, 148, 0.0624, 0.1605],
  [0, 20, 0, 0.1611],
  [1, 29, 0.0061, 0.1718],
])('%d of %d', (hits, samples, lo, hi) => {
  const [low, high] = wilson(hits / samples, samples);
  expect(low).toBeCloseTo(lo, 4);
  expect(high).toBeCloseTo(hi, 4);
});

test('it holds the share, lies within 0..1, and more samples make it narrower', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (n, part) => {
        const share = Math.round(part * n) / n;
        const [lo, hi] = wilson(share, n);
        expect(lo).toBeGreaterThanOrEqual(0);
        expect(hi).toBeLessThanOrEqual(1);
        expect(lo).toBeLessThanOrEqual(share + 1e-12);
        expect(hi).toBeGreaterThanOrEqual(share - 1e-12);
        const [less, more] = wilson(share, 4 * n);
        expect(more - less).toBeLessThan(hi - lo);
      },
    ),
  );
  expect(wilson(0.5, 0)).toEqual([0, 1]);
});
