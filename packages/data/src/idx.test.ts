import { gzipSync } from 'node:zlib';
import { isTierwiseError, type TierwiseError } from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromIdx } from './dataset.ts';
import { type Idx, readIdx } from './idx.ts';

/** An IDX file of bytes. */
function idx(dims: readonly number[], data: readonly number[] | Uint8Array): Uint8Array {
  const header = new DataView(new ArrayBuffer(4 + 4 * dims.length));
  header.setUint32(0, 0x800 + dims.length);
  dims.forEach((dim, i) => {
    header.setUint32(4 + 4 * i, dim);
  });
  return Buffer.concat([new Uint8Array(header.buffer), Uint8Array.from(data)]);
}

const corrupt = (file: string, what: RegExp) =>
  expect.toSatisfy(
    (error: unknown) =>
      isTierwiseError(error, 'DATA_CORRUPT') &&
      error.message.startsWith(`${file}: `) &&
      what.test(error.message),
  );

test('what was written is read, packed and plain', async () => {
  const dims = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(dims, fc.boolean(), fc.nat(255), async (shape, packed, first) => {
      const data = Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (first + i) % 256);
      const bytes = idx(shape, data);
      const read = await readIdx(packed ? gzipSync(bytes) : bytes, 'f');
      expect(read.dims).toEqual(shape);
      expect([...read.data]).toEqual(data);
    }),
    { numRuns: 50 },
  );
});

const good = idx([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
test.each<[string, Uint8Array, RegExp]>([
  ['nothing', new Uint8Array(0), /not an IDX file/],
  ['a text', Buffer.from('<html><body>Not found'), /begins with "3c68746d"/],
  ['another element type', Uint8Array.of(0, 0, 0xd, 1, 0, 0, 0, 0), /not an IDX file of bytes/],
  ['no dimension', Uint8Array.of(0, 0, 8, 0), /not an IDX file/],
  ['too many dimensions', idx([1, 1, 1, 1, 1], [1]), /not an IDX file/],
  ['half a header', good.subarray(0, 10), /not an IDX file/],
  ['a missing value', good.subarray(0, good.length - 1), /7 values.*\[2,2,2\], which is 8/],
  ['a value too many', Buffer.concat([good, Uint8Array.of(0)]), /9 values/],
  ['a size beyond any file', idx([0xffffffff, 0xffffffff, 0xffffffff], [1]), /1 values/],
  ['half a gzip', gzipSync(good).subarray(0, 20), /does not unpack/],
])('%s gives DATA_CORRUPT', async (_, bytes, what) => {
  await expect(readIdx(bytes, 'a/train')).rejects.toThrow(corrupt('a/train', what));
});

test('a changed or cut file is refused or read, never anything else', async () => {
  const packed = gzipSync(good);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(packed.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.nat(packed.length),
      async (at, flip, length) => {
        const bytes = Uint8Array.from(packed);
        bytes[at]! ^= flip;
        await readIdx(bytes.subarray(0, length), 'f').then(
          (read) => expect([...read.data]).toHaveLength(8),
          (error: TierwiseError) => expect(error.code).toBe('DATA_CORRUPT'),
        );
      },
    ),
    { numRuns: 300 },
  );
});

const file = (name: string, dims: readonly number[], fill = 0): Idx => ({
  file: name,
  dims,
  data: new Uint8Array(dims.reduce((a, b) => a * b, 1)).fill(fill),
});
const parts = {
  trainImages: file('trI', [3, 2, 4]),
  trainLabels: file('trL', [3], 2),
  testImages: file('teI', [1, 2, 4]),
  testLabels: file('teL', [1], 1),
};

test('four files become two halves; classes are counted when no names are given', () => {
  const { train, test } = fromIdx('mine', parts);
  expect(train).toMatchObject({
    name: 'mine',
    classes: ['0', '1', '2'],
    channels: 1,
    height: 2,
    width: 4,
    samples: 3,
  });
  expect(test).toMatchObject({ classes: ['0', '1', '2'], samples: 1 });
  expect(test.images).toHaveLength(8);
});

test.each<[string, Partial<typeof parts>, string, RegExp]>([
  ['pictures without rows', { trainImages: file('x', [3, 8]) }, 'x', /3 dimensions/],
  ['labels in a table', { testLabels: file('x', [1, 1]) }, 'x', /1 dimension/],
  ['no picture', { testImages: file('x', [0, 2, 4]) }, 'x', /no pixels/],
  ['pictures without pixels', { trainImages: file('x', [3, 0, 4]) }, 'x', /no pixels/],
  ['too few labels', { trainLabels: file('x', [2]) }, 'x', /2 labels for the 3 pictures of trI/],
  ['a label out of range', { testLabels: file('x', [1], 3) }, 'x', /label 3 of sample 0 is not one of 3/],
  ['halves of different sizes', { testImages: file('x', [1, 4, 2]) }, 'x', /2 x 4, but 4 x 2 in trI/],
])('%s give DATA_CORRUPT', (_, wrong, name, what) => {
  expect(() => fromIdx('mine', { ...parts, ...wrong }, ['a', 'b', 'c'])).toThrow(corrupt(name, what));
});
