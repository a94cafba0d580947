import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from './safetensors.ts';
import {
  bytesPerElement,
  type DType,
  elementCount,
  fromBytes,
  type Tensor,
  tensor,
  toBytes,
} from './tensor.ts';
import { isTierwiseError, type TierwiseError } from './tierwise-error.ts';

const utf8 = new TextEncoder();

/** A file with this header, whatever it says, and this many bytes of data. */
function file(header: string | object, dataBytes = 0): Uint8Array {
  const json = utf8.encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

function failure(bytes: Uint8Array): TierwiseError {
  try {
    readSafetensors(bytes, 'x.safetensors');
  } catch (error) {
    if (isTierwiseError(error, 'SAFETENSORS_CORRUPT')) return error;
    throw error;
  }
  throw new Error('the file was accepted');
}

const dtypes = Object.keys(bytesPerElement) as DType[];
const anyTensor: fc.Arbitrary<Tensor> = fc
  .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat(4), { maxLength: 4 }), fc.infiniteStream(fc.nat(255)))
  .map(([dtype, dims, stream]) => {
    const bytes = Uint8Array.from({ length: elementCount(dims) * bytesPerElement[dtype] }, () => {
      const byte = stream.next().value as number;
      return dtype === 'bool' ? byte & 1 : byte;
    });
    return tensor(dtype, dims, fromBytes(dtype, bytes));
  });
const anyName = fc.string({ unit: 'grapheme' }).filter((name) => name !== '__metadata__');
const anyMap = fc.array(fc.tuple(anyName, anyTensor), { maxLength: 6 }).map((entries) => new Map(entries));
const anyMetadata = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }));

test('the example of the format is read', () => {
  const bytes = file(
    { __metadata__: { format: 'pt' }, w: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } },
    8,
  );
  new DataView(bytes.buffer).setFloat32(bytes.length - 4, -1.5, true);
  const { tensors, metadata } = readSafetensors(bytes);
  expect(metadata).toEqual({ format: 'pt' });
  expect(tensors.get('w')).toEqual(tensor('float32', [2], Float32Array.of(0, -1.5)));
});

test("a file of the publisher's own writer is read, every type of it", () => {
  // Made by safetensors 0.8.0 (Python), which also reads what we write of it.
  const bytes = readFileSync(new URL('../test/golden/published.safetensors', import.meta.url));
  const { tensors, metadata } = readSafetensors(bytes);
  expect(metadata).toEqual({ made: 'by safetensors 0.8.0', é: 'ü' });
  expect(Object.fromEntries(tensors)).toEqual({
    F32: tensor('float32', [1, 2], Float32Array.of(1.5, -2)),
    F64: tensor('float64', [1], Float64Array.of(0.1)),
    F16: tensor('float16', [3], Uint16Array.of(0x3c00, 0xb800, 0x7bff)),
    I8: tensor('int8', [3], Int8Array.of(-1, 2, 3)),
    U8: tensor('uint8', [1], Uint8Array.of(255)),
    I16: tensor('int16', [1], Int16Array.of(-2)),
    U16: tensor('uint16', [1], Uint16Array.of(65535)),
    I32: tensor('int32', [1], Int32Array.of(-3)),
    U32: tensor('uint32', [1], Uint32Array.of(4294967295)),
    I64: tensor('int64', [1], BigInt64Array.of(-4n)),
    U64: tensor('uint64', [1], BigUint64Array.of(5n)),
    BOOL: tensor('bool', [3], Uint8Array.of(1, 0, 1)),
    scalar: tensor('float32', [], Float32Array.of(7)),
    empty: tensor('float32', [0, 3], new Float32Array(0)),
  });
});

test('what is written is read again, from any offset, and is the same bytes for any order', () => {
  fc.assert(
    fc.property(anyMap, anyMetadata, fc.nat(8), (tensors, metadata, offset) => {
      const bytes = writeSafetensors(tensors, metadata);
      const moved = Buffer.alloc(bytes.length + offset).subarray(offset);
      moved.set(bytes);
      const back = readSafetensors(moved);
      expect(new Map(back.metadata ? Object.entries(back.metadata) : [])).toEqual(
        new Map(Object.entries(metadata)),
      );
      expect([...back.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
      for (const [name, { dtype, dims, data }] of tensors) {
        const other = back.tensors.get(name)!;
        expect([other.dtype, other.dims]).toEqual([dtype, dims]);
        expect(other.data.constructor).toBe(data.constructor);
        expect(Buffer.compare(toBytes(other.data), toBytes(data))).toBe(0);
      }
      expect(writeSafetensors(new Map([...tensors].reverse()), metadata)).toEqual(bytes);
      expect(writeSafetensors(back.tensors, back.metadata)).toEqual(bytes);
    }),
  );
});

test('the header is padded with spaces to a multiple of 8, and aligned tensors share memory', () => {
  const bytes = writeSafetensors(
    new Map<string, Tensor>([
      ['byte', tensor('uint8', [1], Uint8Array.of(7))],
      ['wide', tensor('int64', [1], BigInt64Array.of(-1n))],
      ['half', tensor('float16', [1], Uint16Array.of(0x3c00))],
    ]),
  );
  const headerBytes = new DataView(bytes.buffer).getUint32(0, true);
  expect(headerBytes % 8).toBe(0);
  expect(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes))).toMatch(
    /^\{"wide".*"half".*"byte".*\} *$/,
  );
  for (const { data } of readSafetensors(bytes).tensors.values()) expect(data.buffer).toBe(bytes.buffer);
});

test('a tensor named __proto__ is a tensor', () => {
  const tensors = new Map([['__proto__', tensor('uint8', [], Uint8Array.of(3))]]);
  expect(readSafetensors(writeSafetensors(tensors)).tensors).toEqual(tensors);
});

test.each<[string, Uint8Array]>([
  ['too short for a header length', new Uint8Array(7)],
  ['a header longer than the file', file('{}').subarray(0, 9)],
  ['a header length of 2^64 - 1', new Uint8Array(16).fill(255)],
  ['no JSON', file('{"a":')],
  ['not UTF-8', file('{"?":1}').map((byte) => (byte === 0x3f ? 0xff : byte))],
  ['a byte order mark', file('\uFEFF{}')],
  ['a space before the brace', file(' {}')],
  ['an array', file('[]')],
  ['null', file('null')],
  ['metadata that is no object', file({ __metadata__: ['x'] })],
  ['metadata that holds a number', file({ __metadata__: { a: 1 } })],
  ['a tensor that is no object', file({ a: 3 })],
  ['an unknown dtype', file({ a: { dtype: 'BF16', shape: [1], data_offsets: [0, 2] } }, 2)],
  [
    'a dtype that is an object key',
    file({ a: { dtype: 'constructor', shape: [], data_offsets: [0, 1] } }, 1),
  ],
  ['a dtype as deep as a stack', file(`{"a":{"dtype":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`)],
  [
    'a shape as deep as a stack',
    file(`{"a":{"dtype":"U8","shape":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`),
  ],
  ['a negative dimension', file({ a: { dtype: 'U8', shape: [-1, -1], data_offsets: [0, 1] } }, 1)],
  ['a fraction of a dimension', file({ a: { dtype: 'U8', shape: [0.5, 2], data_offsets: [0, 1] } }, 1)],
  ['a shape that is a string', file({ a: { dtype: 'U8', shape: '1', data_offsets: [0, 1] } }, 1)],
  [
    'a shape that overflows',
    file({ a: { dtype: 'U8', shape: [2 ** 40, 2 ** 40, 0], data_offsets: [0, 1] } }, 1),
  ],
  ['one offset', file({ a: { dtype: 'U8', shape: [], data_offsets: [0] } }, 1)],
  ['offsets the wrong way round', file({ a: { dtype: 'U8', shape: [], data_offsets: [1, 0] } }, 1)],
  ['a shape larger than its bytes', file({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } }, 4)],
  ['data missing', file({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, 3)],
  ['trailing bytes', file({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, 5)],
  ['trailing bytes and no tensor', file({}, 1)],
  [
    'a hole',
    file(
      {
        a: { dtype: 'U8', shape: [], data_offsets: [0, 1] },
        b: { dtype: 'U8', shape: [], data_offsets: [2, 3] },
      },
      3,
    ),
  ],
  [
    'an overlap',
    file(
      {
        a: { dtype: 'U8', shape: [2], data_offsets: [0, 2] },
        b: { dtype: 'U8', shape: [2], data_offsets: [1, 3] },
      },
      3,
    ),
  ],
  ['a bool of 2', file({ a: { dtype: 'BOOL', shape: [], data_offsets: [0, 1] } }, 1).fill(2, -1)],
])('%s is refused and the file is named', (_, bytes) => {
  expect(failure(bytes).message).toMatch(/^x\.safetensors: /);
});

test('a file cut anywhere is refused', () => {
  const bytes = writeSafetensors(new Map([['a', tensor('float32', [3], Float32Array.of(1, 2, 3))]]));
  for (let length = 0; length < bytes.length; length++) failure(bytes.subarray(0, length));
});

test('damaged or made-up bytes are read or refused, never anything else', () => {
  const whole = writeSafetensors(
    new Map<string, Tensor>([
      ['a', tensor('float32', [2, 2], new Float32Array(4))],
      ['b', tensor('bool', [3], new Uint8Array(3))],
    ]),
    { k: 'v' },
  );
  const attempt = (bytes: Uint8Array) => {
    try {
      readSafetensors(bytes);
    } catch (error) {
      if (!isTierwiseError(error, 'SAFETENSORS_CORRUPT')) throw error;
    }
  };
  for (let i = 0; i < whole.length; i++) {
    for (let bit = 0; bit < 8; bit++) {
      const bytes = whole.slice();
      bytes[i]! ^= 1 << bit;
      attempt(bytes);
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), attempt));
  const entry = fc.record({
    dtype: fc.oneof(fc.constantFrom('F32', 'U8', 'BOOL'), fc.jsonValue()),
    shape: fc.oneof(fc.array(fc.integer({ min: -1, max: 3 })), fc.jsonValue()),
    data_offsets: fc.oneof(fc.tuple(fc.nat(8), fc.nat(8)), fc.jsonValue()),
  });
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.oneof(entry, fc.jsonValue())),
      fc.nat(16),
      (header, dataBytes) => attempt(file(header, dataBytes)),
    ),
  );
});

test('a tensor that lies about its size is not written', () => {
  const lie: Tensor = { dtype: 'float32', dims: [3], data: new Float32Array(2) };
  expect(() => writeSafetensors(new Map([['a', lie]]))).toThrow(/"a": float32 of shape \[3\]/);
  expect(() =>
    writeSafetensors(new Map([['__metadata__', tensor('uint8', [0], new Uint8Array(0))]])),
  ).toThrow(/__metadata__/);
});
