import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLine } from './line.ts';

test('bytes take their time on the line, then the delay', () => {
  const line = createLine({ bitsPerSecond: 8000, delayMs: 50 });
  expect(line.arrivalMs(1000, 0)).toBe(1050);
  // Handed over while the line is busy: waits for it. After it fell idle: does not.
  expect(line.arrivalMs(500, 200)).toBe(1550);
  expect(line.arrivalMs(500, 9000)).toBe(9550);
  expect(line.arrivalMs(0, 9100)).toBe(9550);
});

test('nothing overtakes, and no stretch of time carries more than the rate allows', () => {
  const handover = fc.record({
    bytes: fc.integer({ min: 0, max: 100_000 }),
    pauseMs: fc.integer({ min: 0, max: 5000 }),
  });
  fc.assert(
    fc.property(
      fc.array(handover, { minLength: 1 }),
      fc.integer({ min: 1, max: 10_000_000 }),
      fc.integer({ min: 0, max: 1000 }),
      (handovers, bitsPerSecond, delayMs) => {
        const line = createLine({ bitsPerSecond, delayMs });
        let now = 0;
        let last = -Infinity;
        let bitsOnTheWay = 0;
        for (const { bytes, pauseMs } of handovers) {
          now += pauseMs;
          if (last - delayMs < now) bitsOnTheWay = 0;
          const began = bitsOnTheWay === 0 ? now : Number.NaN;
          const arrival = line.arrivalMs(bytes, now);
          expect(arrival).toBeGreaterThanOrEqual(last);
          expect(arrival).toBeGreaterThanOrEqual(now + delayMs + (bytes * 8000) / bitsPerSecond - 1e-6);
          if (!Number.isNaN(began))
            expect(arrival).toBeCloseTo(began + (bytes * 8000) / bitsPerSecond + delayMs, 6);
          bitsOnTheWay += bytes * 8;
          last = arrival;
        }
      },
    ),
  );
});
