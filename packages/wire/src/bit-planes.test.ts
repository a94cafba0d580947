import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bitPlaneBytes, fromBitPlanes, toBitPlanes } from './bit-planes.ts';

test('the highest plane comes first, element 8 j + i is bit i of byte j', () => {
  // Ten elements of two bits: element 0 is 2, element 1 is 1, element 9 is 3.
  const codes = Uint8Array.of(2, 1, 0, 0, 0, 0, 0, 0, 0, 3);
  expect([...toBitPlanes(codes, 2)]).toEqual([0b00000001, 0b00000010, 0b00000010, 0b00000010]);
});

/** As docs/wire.md says it, a bit at a time. */
function obviousPlanes(codes: Uint8Array, bits: number): Uint8Array {
  const planeBytes = Math.ceil(codes.length / 8);
  const planes = new Uint8Array(bits * planeBytes);
  for (const [n, code] of codes.entries()) {
    for (let plane = 0; plane < bits; plane++)
      planes[plane * planeBytes + (n >> 3)]! |= ((code >> (bits - 1 - plane)) & 1) << (n & 7);
  }
  return planes;
}

test('planes are what their definition says and codes come back, for every width and count', () => {
  const codesOf = (bits: number) => fc.uint8Array({ max: 2 ** bits - 1, maxLength: 70 });
  const sample = fc.integer({ min: 1, max: 8 }).chain((bits) => fc.tuple(fc.constant(bits), codesOf(bits)));
  fc.assert(
    fc.property(sample, ([bits, codes]) => {
      const planes = toBitPlanes(codes, bits);
      expect(planes).toEqual(obviousPlanes(codes, bits));
      expect(planes.length).toBe(bitPlaneBytes(bits, codes.length));
      expect(fromBitPlanes(planes, bits, codes.length)).toEqual(codes);
    }),
  );
});
