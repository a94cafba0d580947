import type { CodecPolicy } from '@tierwise/plan';
import { expect, test } from 'vitest';
import { calibrateRange, chooseCodec } from './calibrate.ts';

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
    if (codec.kind === 'raw') return right;
    const [all, more] = [changed[codec.bits] ?? 0, lost[codec.bits] ?? 0];
    right.fill(0, 0, (all + more) / 2);
    right.fill(1, 900, 900 + (all - more) / 2);
    return right;
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
