import fc from 'fast-check';
import { expect, test } from 'vitest';
import { argmax, energyOf, normalizedEntropy, softmax } from './confidence.ts';

const logits = fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 2, maxLength: 50 });

test('softmax sums to one, keeps the order and does not see a shift', () => {
  fc.assert(
    fc.property(logits, fc.integer({ min: -1000, max: 1000 }), (x, shift) => {
      const p = softmax(x);
      expect(p.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12);
      expect(p[argmax(x)]).toBe(Math.max(...p));
      const shifted = softmax(x.map((value) => value + shift));
      p.forEach((value, i) => {
        expect(shifted[i]).toBeCloseTo(value, 9);
      });
    }),
  );
});

test('softmax of known values', () => {
  expect([...softmax([0, Math.log(3)])]).toEqual([expect.closeTo(0.25, 12), expect.closeTo(0.75, 12)]);
  expect([...softmax([1e30, 0])]).toEqual([1, 0]);
  expect(softmax([])).toHaveLength(0);
});

test('entropy is 1 for a uniform answer, about 0 for a certain one and within 0..1 between', () => {
  for (const classes of [2, 10, 1000]) {
    expect(normalizedEntropy(new Float64Array(classes).fill(1 / classes))).toBeCloseTo(1, 12);
    const certain = new Float64Array(classes);
    certain[0] = 1;
    expect(normalizedEntropy(certain)).toBeLessThan(1e-5);
  }
  fc.assert(
    fc.property(logits, (x) => {
      const entropy = normalizedEntropy(softmax(x));
      expect(entropy).toBeGreaterThanOrEqual(0);
      expect(entropy).toBeLessThanOrEqual(1);
    }),
  );
});

test('entropy of a known answer', () => {
  // -(0.25 ln 0.25 + 0.75 ln 0.75) / ln 2
  expect(normalizedEntropy([0.25, 0.75])).toBeCloseTo(0.8112781244591328, 12);
});

test('argmax takes the first of equals and says -1 to nothing', () => {
  expect(argmax([1, 3, 3, 2])).toBe(1);
  expect(argmax([-Infinity])).toBe(0);
  expect(argmax([])).toBe(-1);
});

test('energy is log sum exp: it does not overflow, moves with a shift, and is the largest score where others are small', () => {
  expect(energyOf([1000, 0])).toBe(1000);
  expect(energyOf([0, 0])).toBeCloseTo(Math.log(2), 12);
  expect(energyOf([-1, 0.5, 2])).toBeCloseTo(Math.log(Math.exp(-1) + Math.exp(0.5) + Math.exp(2)), 12);
  expect(energyOf([6, 7.5, 9])).toBeCloseTo(7 + energyOf([-1, 0.5, 2]), 12);
});
