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
 * A main network that gets 900 of 1,000 right from raw stems, and with b bits `changed[b]` samples the other way round:
 * as many of them gained as lost, but for `lost[b]` more of the latter.
 */
function network(changed: Readonly<Record<number, number>>, lost: Readonly<Record<number, number>> = {}) {
  const raw = Uint8Array.from({ length: 1000 }, (_, i) => (i < 900 ? 1 : 0));
  return async (codec: CodecPolicy) => {
    const right = raw.slice();
    // The scores never change, so that the count alone decides.
    const scores = new Float32Array(2000);
    if (codec.kind === 'raw') return { scores, right };
    const [all, more] = [changed[codec.bits] ?? 0, lost[codec.bits] ?? 0];
    right.fill(0, 0, (all + more) / 2);
    right.fill(1, 900, 900 + (all - more) / 2);
    return { scores, right };
  };
}

const range = { lo: 0, hi: 1 };

test('the narrowest width whose loss is within the tolerance is taken', async () => {
  const { codec, tried } = await chooseCodec(
    range,
    0.002,
    network({ 1: 6, 2: 4, 3: 4 }, { 1: 6, 2: 4, 3: 2 }),
  );
  expect(codec).toEqual({ kind: 'packed', bits: 3, ...range });
  expect(tried).toEqual({ raw: 0.9, 1: 0.894, 2: 0.896, 3: 0.898 });
});

test('a width that changes many answers is not trusted, though it happens to lose none', async () => {
  const changing = { 1: 80, 2: 40, 3: 20, 4: 8, 5: 6 };
  const { codec, tried } = await chooseCodec(range, 0.002, network(changing));
  // sqrt(8 / 1,000 / 1,000) is 0.0028, sqrt(6 / 1,000 / 1,000) is 0.0024.
  expect(codec).toEqual({ kind: 'packed', bits: 5, ...range });
  expect(tried[1]).toBe(0.9);
});

test('8 bits are enough unless they cost too much', async () => {
  const unsure = { 1: 50, 2: 50, 3: 50, 4: 50, 5: 50, 6: 50, 8: 50 };
  expect((await chooseCodec(range, 0.002, network(unsure))).codec).toEqual({
    kind: 'packed',
    bits: 8,
    ...range,
  });
  const lost = { 1: 10, 2: 10, 3: 10, 4: 10, 5: 10, 6: 10, 8: 10 };
  expect((await chooseCodec(range, 0.002, network(unsure, lost))).codec).toEqual({ kind: 'raw' });
});

const scores = (...shares: number[]) => shares.map(Math.log);

test('what is lost is what the network itself thought of the answer that it changes', () => {
  const raw = Float32Array.from([...scores(0.5, 0.4, 0.1), ...scores(0.9, 0.06, 0.04)]);
  const still = Float32Array.from([...scores(0.34, 0.33, 0.33), ...scores(0.4, 0.3, 0.3)]);
  const near = Float32Array.from([...scores(0.1, 0.8, 0.1), ...scores(0.9, 0.06, 0.04)]);
  const far = Float32Array.from([...scores(0.5, 0.4, 0.1), ...scores(0.1, 0.1, 0.8)]);
  expect(expectedLoss(raw, still, 2)).toBe(0);
  expect(expectedLoss(raw, near, 2)).toBeCloseTo(0.05, 6);
  expect(expectedLoss(raw, far, 2)).toBeCloseTo(0.43, 6);
});

test('a width is not taken for luck with the labels: it has to cost little by what the network says, too', async () => {
  // Each changed answer, 0 of 3 classes to 1, costs 0.3 of a sample, and none of them counts as wrong.
  const changed: Record<number, number> = { 1: 300, 2: 10, 3: 6, 4: 2 };
  const judge = async (codec: CodecPolicy) => {
    const other = codec.kind === 'raw' ? 0 : (changed[codec.bits] ?? 0);
    const rows = Array.from({ length: 1000 }, (_, i) =>
      i < other ? scores(0.2, 0.5, 0.3) : scores(0.6, 0.3, 0.1),
    );
    return { scores: Float32Array.from(rows.flat()), right: new Uint8Array(1000).fill(1) };
  };
  const { codec, tried } = await chooseCodec(range, 0.002, judge);
  expect(codec).toEqual({ kind: 'packed', bits: 3, ...range });
  expect(tried).toEqual({ raw: 1, 1: 1, 2: 1, 3: 1 });
  for (let bits = 1; bits <= 8; bits++) changed[bits] = 10;
  expect((await chooseCodec(range, 0.002, judge)).codec).toEqual({ kind: 'raw' });
});
