import { predict } from '@tierwise/plan';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expectedLatency } from './latency.ts';

const context = {
  uplinkBitsPerSecond: 1e6,
  downlinkBitsPerSecond: 8e6,
  roundTripMs: 40,
  edge: true,
  resident: [],
};
const last = { uplinkBytes: 1250, edgeMs: 3, classes: 10 };
/** Up 10 + 20, down 0.04 + 20, edge 3. */
const finishMs = 53.04;

test('one branch: time on the device, and the way to the edge for those that do not exit', () => {
  const found = expectedLatency([{ downloadBytes: 100_000, deviceMs: 5, exitRate: 0.75 }], last, context);
  expect(found.warmMs).toBeCloseTo(5 + 0.25 * finishMs, 9);
  expect(found.coldMs).toBeCloseTo(found.warmMs + 100 + 40, 9);
  expect(found.amortizedMs).toBeCloseTo(found.warmMs + 1.4, 9);
});

test('two branches: the second one only costs the samples that reach it (eq. 14 to 16)', () => {
  const found = expectedLatency(
    [
      { downloadBytes: 100_000, deviceMs: 5, exitRate: 0.75 },
      { downloadBytes: 50_000, deviceMs: 8, exitRate: 0.5 },
    ],
    last,
    context,
  );
  expect(found.warmMs).toBeCloseTo(5 + 0.25 * 8 + 0.125 * finishMs, 9);
  expect(found.coldMs).toBeCloseTo(found.warmMs + 140 + 0.25 * 90, 9);
  expect(found.amortizedMs).toBeCloseTo(found.warmMs + 2.3, 9);
});

test('with one branch a warm sample takes what the cost model of Plans predicts', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 0, max: 1e6 }),
      fc.integer({ min: 0, max: 1e9 }),
      (exitRate, uplinkBytes, deviceFlops) => {
        const predicted = predict(
          { deviceFlops, edgeFlops: 6e6, uplinkBytes, classes: 10, exitRate, downloadBytes: 0 },
          { deviceFlopsPerSecond: 1e9, edgeFlopsPerSecond: 2e9 },
          context,
        );
        const found = expectedLatency(
          [{ downloadBytes: 0, deviceMs: deviceFlops / 1e6, exitRate }],
          { ...last, uplinkBytes },
          context,
        );
        expect(found.warmMs).toBeCloseTo(predicted.latencyMs, 6);
        expect(found.coldMs).toBe(found.warmMs);
      },
    ),
  );
});
