import { random } from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { draw } from '../../test/naive.ts';
import { evaluate, realThresholds, type Step, sumThresholds, type Thresholds } from './chain.ts';

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const channels = 6;

/** One to five steps of any kind and sign, over a wide range of magnitudes. */
function drawSteps(seed: number): Step[] {
  const n = random(seed);
  return draw(1 + n.below(5), (): Step => {
    const values = Float32Array.from(
      { length: channels },
      () => (n.below(12) === 0 ? 0 : n.normal()) * 10 ** (n.below(9) - 4),
    );
    const kind = n.below(5);
    if (kind === 0) return { kind: 'relu' };
    return kind <= 2 ? { kind: 'mul', values } : { kind: 'add', values };
  });
}

function bit({ values, flip }: Thresholds, channel: number, x: number): boolean {
  return flip?.[channel] ? x <= values[channel]! : x >= values[channel]!;
}

test('thresholds of sums decide as the chain does for every sum', () => {
  fc.assert(
    fc.property(seeds, fc.integer({ min: 1, max: 200 }), (seed, terms) => {
      const steps = drawSteps(seed);
      const thresholds = sumThresholds(steps, channels, terms);
      for (let channel = 0; channel < channels; channel++) {
        for (let s = -terms; s <= terms; s++) {
          expect(bit(thresholds, channel, s)).toBe(evaluate(steps, channel, s) >= 0);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('thresholds of reals decide as the chain does, also for the neighbours of the threshold', () => {
  const float = new Float32Array(1);
  const pattern = new Int32Array(float.buffer);
  /** The float32 number `steps` patterns away from `x`. */
  const moved = (x: number, by: number) => {
    float[0] = x;
    pattern[0]! += by;
    return float[0]!;
  };
  fc.assert(
    fc.property(seeds, (seed) => {
      const steps = drawSteps(seed);
      const thresholds = realThresholds(steps, channels);
      const n = random(seed, 1);
      for (let channel = 0; channel < channels; channel++) {
        const t = thresholds.values[channel]!;
        const near = Number.isFinite(t) ? [-3, -2, -1, 0, 1, 2, 3].map((by) => moved(t, by)) : [];
        const far = draw(20, () => Math.fround(n.normal() * 10 ** (n.below(12) - 6)));
        for (const x of [...near, ...far, 0, -0, 255].filter(Number.isFinite)) {
          const y = evaluate(steps, channel, x);
          if (!Number.isNaN(y)) expect(bit(thresholds, channel, x)).toBe(y >= 0);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('a bit that never changes has a threshold that no value reaches', () => {
  const constant = (scale: number, bias: number): Step[] => [
    { kind: 'mul', values: Float32Array.of(scale) },
    { kind: 'add', values: Float32Array.of(bias) },
  ];
  expect(sumThresholds(constant(0, -1), 1, 9)).toEqual({ values: Float64Array.of(10) });
  expect(sumThresholds(constant(0, 1), 1, 9)).toEqual({ values: Float64Array.of(-9) });
  expect(sumThresholds(constant(-1, -100), 1, 9)).toEqual({
    values: Float64Array.of(-10),
    flip: Uint8Array.of(1),
  });
  expect(realThresholds(constant(0, -1), 1).values[0]).toBe(Infinity);
});
