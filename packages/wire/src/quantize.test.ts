import { isTierwiseError } from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dequantize, packedBits, type QuantizeRange, quantize, rangeFault } from './quantize.ts';

const bits = fc.constantFrom(...packedBits);
const range: fc.Arbitrary<QuantizeRange> = fc
  .record({
    bits,
    lo: fc.float({ min: -100, max: 100, noNaN: true }),
    span: fc.float({ min: Math.fround(0.01), max: 1000, noNaN: true }),
  })
  .map(({ bits, lo, span }) => ({ bits, lo, hi: lo + span }));

/** One float32 operation: the result of the float64 one, stored in a float32 array. */
function f32(value: number): number {
  return Float32Array.of(value)[0]!;
}

test('the rule, operation by operation', () => {
  fc.assert(
    fc.property(fc.float32Array({ noNaN: true }), range, (values, { bits, lo, hi }) => {
      const levels = 2 ** bits - 1;
      const scale = f32(levels / f32(f32(hi) - f32(lo)));
      const expected = Array.from(values, (x) => {
        const q = Math.floor(f32(f32(f32(x - f32(lo)) * scale) + 0.5));
        return Math.min(Math.max(q, 0), levels);
      });
      expect([...quantize(values, { bits, lo, hi })]).toEqual(expected);
    }),
  );
});

test('known codes: both ends, halves go up, what lies outside is clamped', () => {
  const values = Float32Array.of(0, 0.499, 0.5, 1.5, 2.5, 3, -1, 4, Infinity, -Infinity);
  expect([...quantize(values, { bits: 2, lo: 0, hi: 3 })]).toEqual([0, 0, 1, 2, 3, 3, 0, 3, 3, 0]);
  // The sum with 0.5 is a float32 too, so the largest float32 below 0.5 goes up.
  expect([...quantize(Float32Array.of(0.5 - 2 ** -25), { bits: 2, lo: 0, hi: 3 })]).toEqual([1]);
  expect([...dequantize(Uint8Array.of(0, 1, 2, 3), { bits: 2, lo: -1, hi: 2 })]).toEqual([-1, 0, 1, 2]);
});

test('a value inside the range moves by half a step at most', () => {
  fc.assert(
    fc.property(range, fc.array(fc.double({ min: 0, max: 1, noNaN: true })), (range, shares) => {
      const values = Float32Array.from(shares, (share) => range.lo + share * (range.hi - range.lo));
      const back = dequantize(quantize(values, range), range);
      const step = (range.hi - range.lo) / (2 ** range.bits - 1);
      const float32Error = 2 ** -21 * Math.max(Math.abs(range.lo), Math.abs(range.hi));
      back.forEach((value, i) => {
        expect(Math.abs(value - values[i]!)).toBeLessThanOrEqual(step / 2 + float32Error);
      });
    }),
  );
});

test('a level is its own code, so packing twice changes nothing', () => {
  fc.assert(
    fc.property(range, (range) => {
      const codes = Uint8Array.from({ length: 2 ** range.bits }, (_, q) => q);
      expect(quantize(dequantize(codes, range), range)).toEqual(codes);
    }),
  );
});

test('a NaN is refused and its place is named', () => {
  try {
    quantize(Float32Array.of(1, Number.NaN), { bits: 4, lo: 0, hi: 1 });
    expect.unreachable();
  } catch (error) {
    expect(isTierwiseError(error, 'TENSOR_INVALID') && error.details['element']).toBe(1);
  }
});

test.each([
  [7, 0, 1],
  [4, 1, 1],
  [4, 1, 0],
  [4, 1, 1 + 1e-12],
  [4, 0, Infinity],
  [4, Number.NaN, 1],
  [4, -3e38, 3e38],
  [4, 0, 1e-40],
  [4, 0, 1e40],
])('%s bits from %s to %s cannot be used', (bits, lo, hi) => {
  expect(rangeFault({ bits: bits as 4, lo, hi })).toBeTypeOf('string');
});
