import type { CodecPolicy } from '@tierwise/plan';
import { expect, test } from 'vitest';
import { calibrateRange, chooseCodec, expectedLoss } from './calibrate.ts';

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

/**
 * A main network of 1,000 samples and 3 classes that says class 0 of all, by 60 to 30 in a hundred, and with b bits class 1 of
 * `changed[b]` of them: each costs 0.3.
 */
function network(changed: Readonly<Record<number, number>>) {
  const scores = (a: number, b: number, c: number) => [Math.log(a), Math.log(b), Math.log(c)];
  return async (codec: CodecPolicy) => {
    const other = codec.kind === 'raw' ? 0 : (changed[codec.bits] ?? 0);
    return Float32Array.from(
      Array.from({ length: 1000 }, (_, i) =>
        i < other ? scores(0.2, 0.5, 0.3) : scores(0.6, 0.3, 0.1),
      ).flat(),
    );
  };
}

const range = { lo: 0, hi: 1 };

test('the narrowest width whose expected loss is within the tolerance is taken', async () => {
  const { codec, tried } = await chooseCodec(range, 0.002, 3, network({ 1: 300, 2: 10, 3: 6, 4: 2 }));
  expect(codec).toEqual({ kind: 'packed', bits: 3, ...range });
  expect(Object.keys(tried)).toEqual(['1', '2', '3']);
  expect(tried[1]).toBeCloseTo(0.09, 6);
  expect(tried[2]).toBeCloseTo(0.003, 6);
  expect(tried[3]).toBeCloseTo(0.0018, 6);
});

test('what is lost is what the network itself thought of the answer that it changes', () => {
  const scores = (...shares: number[]) => shares.map(Math.log);
  const raw = Float32Array.from([...scores(0.5, 0.4, 0.1), ...scores(0.9, 0.06, 0.04)]);
  const still = Float32Array.from([...scores(0.34, 0.33, 0.33), ...scores(0.4, 0.3, 0.3)]);
  const near = Float32Array.from([...scores(0.1, 0.8, 0.1), ...scores(0.9, 0.06, 0.04)]);
  const far = Float32Array.from([...scores(0.5, 0.4, 0.1), ...scores(0.1, 0.1, 0.8)]);
  expect(expectedLoss(raw, still, 3)).toBe(0);
  expect(expectedLoss(raw, near, 3)).toBeCloseTo(0.05, 6);
  expect(expectedLoss(raw, far, 3)).toBeCloseTo(0.43, 6);
});

test('stems are sent as they are where 8 bits cost too much', async () => {
  const always = { 1: 100, 2: 100, 3: 100, 4: 100, 5: 100, 6: 100, 8: 10 };
  expect((await chooseCodec(range, 0.002, 3, network(always))).codec).toEqual({ kind: 'raw' });
  expect((await chooseCodec(range, 0.003001, 3, network(always))).codec).toMatchObject({ bits: 8 });
});
