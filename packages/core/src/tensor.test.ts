import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesPerElement, type DType, elementCount, fromBytes, tensor, toBytes, zeros } from './tensor.ts';
import { isTierwiseError } from './tierwise-error.ts';

const dtypes = Object.keys(bytesPerElement) as DType[];
const invalid = expect.toSatisfy((error: unknown) => isTierwiseError(error, 'TENSOR_INVALID'));

test.each(dtypes)('%s: bytes become elements and bytes again, wherever they lie', (dtype) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 20 }),
      fc.nat(8),
      fc.infiniteStream(fc.nat(255)),
      (n, offset, stream) => {
        const size = n * bytesPerElement[dtype];
        const bytes = new Uint8Array(offset + size).subarray(offset);
        for (let i = 0; i < size; i++) bytes[i] = stream.next().value;
        const data = fromBytes(dtype, bytes);
        expect(data).toHaveLength(n);
        expect([...toBytes(data)]).toEqual([...bytes]);
      },
    ),
  );
});

test.each(dtypes)('%s: zeros are zero, of the right type and size', (dtype) => {
  const data = zeros(dtype, 3);
  expect(data.byteLength).toBe(3 * bytesPerElement[dtype]);
  expect([...data].every((value) => Number(value) === 0)).toBe(true);
  expect(tensor(dtype, [3, 1], data)).toEqual({ dtype, dims: [3, 1], data });
});

test('bytes are little-endian', () => {
  expect([...fromBytes('float32', Uint8Array.of(0, 0, 128, 63))]).toEqual([1]);
  expect([...fromBytes('int16', Uint8Array.of(0xfe, 0xff))]).toEqual([-2]);
  expect([...toBytes(BigInt64Array.of(258n))]).toEqual([2, 1, 0, 0, 0, 0, 0, 0]);
});

test('aligned bytes are shared, not copied', () => {
  const bytes = new Uint8Array(8);
  fromBytes('float32', bytes)[1] = 1;
  expect(bytes[7]).toBe(63);
});

test('a part of an element is refused', () => {
  expect(() => fromBytes('float32', new Uint8Array(7))).toThrow(invalid);
});

test('the shape must fit the data', () => {
  expect(elementCount([])).toBe(1);
  expect(elementCount([2, 3, 4])).toBe(24);
  expect(elementCount([2, 0])).toBe(0);
  expect(tensor('float32', [], Float32Array.of(5)).dims).toEqual([]);
  expect(() => tensor('float32', [2, 2], new Float32Array(3))).toThrow(invalid);
  expect(() => tensor('float32', [-1, -3], new Float32Array(3))).toThrow(invalid);
  expect(() => tensor('float32', [1.5, 2], new Float32Array(3))).toThrow(invalid);
  expect(() => tensor('float32', [Number.NaN], new Float32Array(0))).toThrow(invalid);
});
