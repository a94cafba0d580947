import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32 } from './crc32.ts';

test('the check value of CRC-32/ISO-HDLC, however the bytes are split', () => {
  const digits = new TextEncoder().encode('123456789');
  expect(crc32(digits)).toBe(0xcbf43926);
  expect(crc32(digits.subarray(0, 4), digits.subarray(4))).toBe(0xcbf43926);
  expect(crc32()).toBe(0);
});

/** The definition: a polynomial division, bit by bit. */
function slow(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

test('four bytes at once give what the definition gives, in parts of any length', () =>
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 23 }), { maxLength: 6 }), (parts) => {
      expect(crc32(...parts)).toBe(slow(Uint8Array.from(parts.flatMap((part) => [...part]))));
    }),
  ));
