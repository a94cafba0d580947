import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseThreshold, type ExitSample } from './threshold.ts';

const sample: fc.Arbitrary<ExitSample> = fc.record({
  // Few values, so that ties are common.
  entropy: fc.integer({ min: 0, max: 12 }).map((v) => v / 12),
  branchRight: fc.boolean(),
  mainRight: fc.boolean(),
});

const accuracy = (samples: readonly ExitSample[], threshold: number) =>
  samples.filter((s) => (s.entropy < threshold ? s.branchRight : s.mainRight)).length / samples.length;

test('the sweep finds what trying every threshold finds', () =>
  fc.assert(
    fc.property(
      fc.array(sample, { minLength: 1, maxLength: 60 }),
      fc.constantFrom(0, 0.02, 0.1, 1),
      (samples, tolerance) => {
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
      },
    ),
  ));

test('a branch that is always right takes everything, one that is always wrong nothing', () => {
  const samples = (branchRight: boolean) =>
    Array.from({ length: 10 }, (_, i) => ({ entropy: i / 10, branchRight, mainRight: !branchRight }));
  expect(chooseThreshold(samples(true), 0)).toMatchObject({ threshold: 1.01, exitRate: 1, accuracy: 1 });
  expect(chooseThreshold(samples(false), 0)).toMatchObject({ threshold: 0, exitRate: 0, accuracy: 1 });
});
