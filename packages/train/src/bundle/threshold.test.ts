import { isTierwiseError } from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  atThreshold,
  chooseThreshold,
  type ExitSample,
  exitCurve,
  gainOfExits,
  printedThreshold,
} from './threshold.ts';

const sample: fc.Arbitrary<ExitSample> = fc.record({
  // Few values, so that ties are common.
  entropy: fc.integer({ min: 0, max: 12 }).map((v) => v / 12),
  branchRight: fc.boolean(),
  mainRight: fc.boolean(),
  payloadBytes: fc.integer({ min: 10, max: 99 }),
});
const some = fc.array(sample, { minLength: 1, maxLength: 60 });

const accuracy = (samples: readonly ExitSample[], threshold: number) =>
  samples.filter((s) => (s.entropy < threshold ? s.branchRight : s.mainRight)).length / samples.length;

test('the sweep finds what trying every threshold finds', () =>
  fc.assert(
    fc.property(some, fc.constantFrom(0, 0.02, 0.1, 1), (samples, tolerance) => {
      const choice = chooseThreshold(samples, tolerance);
      const tried = [0, ...samples.map((s) => s.entropy + 1e-6), 1.01].map((t) => ({
        t,
        a: accuracy(samples, t),
      }));
      const best = Math.max(...tried.map(({ a }) => a));
      const largest = Math.max(...tried.filter(({ a }) => a >= best - tolerance - 1e-12).map(({ t }) => t));
      expect(choice.bestAccuracy).toBeCloseTo(best, 12);
      expect(choice.accuracy).toBeCloseTo(accuracy(samples, choice.threshold), 12);
      const exits = (t: number) => samples.filter((s) => s.entropy < t).length;
      expect(exits(choice.threshold)).toBe(exits(largest));
      expect(choice.exitRate).toBe(exits(choice.threshold) / samples.length);
    }),
  ));

test('the gain of exits is the mean of what each sample gains, give or take twice its deviation', () =>
  fc.assert(
    fc.property(some, fc.constantFrom(0, 0.3, 0.71, 1.01), (samples, threshold) => {
      const each = samples.map((s) =>
        s.entropy < threshold ? Number(s.branchRight) - Number(s.mainRight) : 0,
      );
      const mean = each.reduce((sum, d) => sum + d, 0) / each.length;
      const variance = each.reduce((sum, d) => sum + (d - mean) ** 2, 0) / each.length;
      const { gain, interval } = gainOfExits(samples, threshold);
      expect(gain).toBeCloseTo(accuracy(samples, threshold) - accuracy(samples, 0), 12);
      const half = 1.959964 * Math.sqrt(variance / each.length);
      expect(interval[0]).toBeCloseTo(mean - half, 6);
      expect(interval[1]).toBeCloseTo(mean + half, 6);
    }),
  ));

test('a branch that is always right takes everything, one that is always wrong nothing', () => {
  const samples = (branchRight: boolean) =>
    Array.from({ length: 10 }, (_, i) => ({
      entropy: i / 10,
      branchRight,
      mainRight: !branchRight,
      payloadBytes: 10,
    }));
  expect(chooseThreshold(samples(true), 0)).toMatchObject({ threshold: 1.01, exitRate: 1, accuracy: 1 });
  expect(chooseThreshold(samples(false), 0)).toMatchObject({ threshold: 0, exitRate: 0, accuracy: 1 });
});

test('the curve goes from nobody exits to everybody does, and each point is what its threshold does', () =>
  fc.assert(
    fc.property(some, (samples) => {
      const curve = exitCurve(samples);
      expect(curve[0]).toMatchObject({ threshold: 0, exitRate: 0 });
      expect(curve.at(-1)).toMatchObject({ threshold: 1.01, exitRate: 1, uploadBytes: 0 });
      expect(curve).toHaveLength(new Set(samples.map((s) => s.entropy)).size + 1);
      for (const [i, point] of curve.entries()) {
        const found = atThreshold(samples, point.threshold);
        for (const key of ['accuracy', 'exitRate', 'uploadBytes'] as const)
          expect(point[key]).toBeCloseTo(found[key], 9);
        if (i > 0) expect(point.exitRate).toBeGreaterThan(curve[i - 1]!.exitRate);
      }
    }),
  ));

test('targets are reached by the largest threshold that reaches them, or refused', () =>
  fc.assert(
    fc.property(
      some,
      fc.record({
        minAccuracy: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
        maxUploadBytes: fc.option(fc.integer({ min: 0, max: 99 }), { nil: undefined }),
        minExitRate: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
        maxExitRate: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
      }),
      (samples, targets) => {
        const able = exitCurve(samples).filter(
          (p) =>
            p.accuracy >= (targets.minAccuracy ?? 0) &&
            p.uploadBytes <= (targets.maxUploadBytes ?? 99) &&
            p.exitRate >= (targets.minExitRate ?? 0) &&
            p.exitRate <= (targets.maxExitRate ?? 1),
        );
        try {
          const { bestAccuracy, ...chosen } = chooseThreshold(samples, 0, targets);
          expect(able).toContainEqual(chosen);
          if (targets.minAccuracy !== undefined) expect(chosen).toEqual(able.at(-1));
          else expect(chosen.accuracy).toBe(Math.max(...able.map((p) => p.accuracy)));
          expect(bestAccuracy).toBeGreaterThanOrEqual(chosen.accuracy);
        } catch (error) {
          if (!isTierwiseError(error, 'USAGE')) throw error;
          expect(able).toEqual([]);
        }
      },
    ),
  ));

test('the printed algorithm walks: up to everybody with a branch that is mostly right, and ends within 0..1', () => {
  const samples = Array.from({ length: 40 }, (_, i) => ({
    entropy: i / 100,
    branchRight: i % 8 !== 7,
    // The main network is always right, so that the exact sweep lets few exit.
    mainRight: true,
    payloadBytes: 10,
  }));
  expect(printedThreshold(samples)).toBeGreaterThan(0.9);
  expect(chooseThreshold(samples, 0).exitRate).toBeLessThan(0.2);
  const wrong = samples.map((s) => ({ ...s, branchRight: false }));
  expect(printedThreshold(wrong, 5)).toBeGreaterThanOrEqual(0);
  expect(printedThreshold(wrong, 5)).toBeLessThanOrEqual(1);
});
