import { expect, test } from 'vitest';
import { realThresholds, sumThresholds } from './thresholds.ts';

const bit = (bits: Uint8Array, k: number) => (bits[k >> 3]! >> (k & 7)) & 1;

test('counting mismatches from minus the limit on gives the comparison of the sum, for every threshold and sum', () => {
  for (const terms of [1, 2, 7, 8, 33]) {
    const thresholds = Int32Array.from({ length: 2 * (2 * terms + 9) }, (_, i) => (i >> 1) - terms - 4);
    const flip = Uint8Array.from(thresholds, (_, i) => i & 1);
    const { starts, inverts } = sumThresholds(thresholds, flip, terms);
    thresholds.forEach((threshold, k) => {
      for (let mismatches = 0; mismatches <= terms; mismatches++) {
        const sum = terms - 2 * mismatches;
        const found = Number(mismatches + starts[k]! < 0) ^ bit(inverts, k);
        expect(found, `${sum} against ${threshold}`).toBe(
          Number(flip[k] ? sum <= threshold : sum >= threshold),
        );
      }
    });
  }
});

test('the longest sums, and thresholds far beyond them, stay within int16', () => {
  const thresholds = Int32Array.of(-(2 ** 31), -32767, 32767, 2 ** 31 - 1);
  expect([...sumThresholds(thresholds, undefined, 32767).starts.subarray(0, 4)]).toEqual([
    -32768, -32768, -1, 0,
  ]);
});

test('channels that do not exist have bit 0', () => {
  const { starts, inverts } = sumThresholds([0], Uint8Array.of(1), 5);
  expect([starts.length, inverts.length]).toEqual([64, 8]);
  expect([starts.subarray(1).every((start) => start === 0), inverts[0]]).toEqual([true, 1]);
  const { thresholds } = realThresholds([0], undefined);
  expect([...thresholds.subarray(1)].every(Number.isNaN)).toBe(true);
});

test('a threshold beyond every sum is never reached, though float32 would round it to one', () => {
  const most = 2 ** 24;
  const beyond = Int32Array.of(most + 1, -most - 1);
  expect([...realThresholds(beyond, undefined, most).thresholds.subarray(0, 2)]).toEqual([
    Infinity,
    -Infinity,
  ]);
  expect([...realThresholds(beyond, Uint8Array.of(1, 1), most).thresholds.subarray(0, 2)]).toEqual([
    -Infinity,
    Infinity,
  ]);
});
