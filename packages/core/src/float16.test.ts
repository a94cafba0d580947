import fc from 'fast-check';
import { expect, test } from 'vitest';
import { float16Bits, float16Value, fromFloat16, toFloat16 } from './float16.ts';

const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);

test('every pattern but a NaN comes back from its value', () => {
  for (const bits of patterns) {
    const value = float16Value(bits);
    if (Number.isNaN(value)) expect(float16Value(float16Bits(value))).toBeNaN();
    else expect(float16Bits(value)).toBe(bits);
  }
});

test('known patterns', () => {
  expect(
    [0, -0, 1, -2, 65504, 65519.99, 65520, 2 ** -14, 2 ** -24, 2 ** -25, 1 / 3, Infinity].map(float16Bits),
  ).toEqual([0, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x7bff, 0x7c00, 0x0400, 1, 0, 0x3555, 0x7c00]);
});

test('halfway between two neighbours goes to the even one, anything else to the nearer one', () => {
  for (let bits = 0; bits < 0x7bff; bits++) {
    const low = float16Value(bits);
    const high = float16Value(bits + 1);
    const middle = (low + high) / 2;
    expect(float16Bits(middle)).toBe(bits % 2 === 0 ? bits : bits + 1);
    const step = (high - low) / 1024;
    expect(float16Bits(middle - step)).toBe(bits);
    expect(float16Bits(-(middle + step))).toBe(0x8000 | (bits + 1));
  }
});

test('arrays: no float16 is nearer than the one chosen', () => {
  fc.assert(
    fc.property(fc.float32Array({ noNaN: true, min: -65000, max: 65000 }), (values) => {
      const bits = toFloat16(values);
      fromFloat16(bits).forEach((value, i) => {
        const distance = Math.abs(value - values[i]!);
        for (const other of [bits[i]! - 1, bits[i]! + 1]) {
          const rival = float16Value(other & 0xffff);
          if (Number.isFinite(rival)) expect(distance).toBeLessThanOrEqual(Math.abs(rival - values[i]!));
        }
      });
    }),
  );
});
