import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { crc32, isTierwiseError, random, type Tensor, type TierwiseError, tensor } from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isPacked, type PackPolicy, pack, readPackedHeader, unpack } from './packed.ts';
import { dequantize, packedBits, quantize } from './quantize.ts';

const dims = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 });
/** float32 values in 0..4, half of them 0, as after a ReLU. */
const anyTensor: fc.Arbitrary<Tensor<'float32'>> = fc.tuple(dims, fc.nat()).map(([dims, seed]) => {
  const stream = random(seed);
  const count = dims.reduce((product, dim) => product * dim, 1);
  const data = Float32Array.from({ length: count }, () => Math.max(0, 8 * stream.uniform() - 4));
  return tensor('float32', dims, data);
});
const packedPolicy = fc.record({
  kind: fc.constant('packed' as const),
  bits: fc.constantFrom(...packedBits),
  lo: fc.constantFrom(0, -1.5),
  hi: fc.constantFrom(3.3, 4),
});
const anyPolicy: fc.Arbitrary<PackPolicy> = fc.oneof(packedPolicy, fc.constant({ kind: 'raw' as const }));

function failure(run: () => unknown): TierwiseError {
  try {
    run();
  } catch (error) {
    if (isTierwiseError(error)) return error;
    throw error;
  }
  return expect.unreachable('the bytes were accepted');
}

/** Puts the right checksum on damaged bytes, as a hostile sender would. */
function sealed(bytes: Uint8Array): Uint8Array {
  const start = 24 + 4 * bytes[7]!;
  if (start > bytes.length) return bytes;
  const crc = crc32(bytes.subarray(0, start - 4), bytes.subarray(start));
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(start - 4, crc, true);
  return bytes;
}

test('raw comes back bit for bit, NaN too, from any offset', () => {
  const values = Float32Array.of(1.5, -0, Number.NaN, Infinity);
  const bytes = pack(tensor('float32', [2, 2], values), { kind: 'raw' });
  for (let offset = 0; offset < 5; offset++) {
    const moved = Buffer.alloc(bytes.length + offset).subarray(offset);
    moved.set(bytes);
    expect(unpack(moved)).toEqual(tensor('float32', [2, 2], values));
  }
});

test('packed is exactly quantised and dequantised, and packing it again gives the same bytes', () => {
  fc.assert(
    fc.property(anyTensor, packedPolicy, (input, policy) => {
      const bytes = pack(input, policy);
      const back = unpack(bytes);
      expect(back).toEqual(tensor('float32', input.dims, dequantize(quantize(input.data, policy), policy)));
      expect(pack(back, policy)).toEqual(bytes);
      expect(pack(input, policy)).toEqual(bytes);
    }),
  );
});

test('the header says what the payload is', () => {
  const zeros = tensor('float32', [1, 64, 8, 8], new Float32Array(4096));
  const policy = { kind: 'packed', bits: 4, lo: 0, hi: 2 } as const;
  const header = readPackedHeader(pack(zeros, policy));
  expect(header).toMatchObject({ bits: 4, codec: 'lz4', dims: [1, 64, 8, 8], lo: 0, hi: 2 });
  expect(header.payload.length).toBeLessThan(32);
  const stream = random(5);
  const noise = tensor(
    'float32',
    [4096],
    Float32Array.from({ length: 4096 }, () => 2 * stream.uniform()),
  );
  expect(readPackedHeader(pack(noise, policy))).toMatchObject({ codec: 'none', dims: [4096] });
  expect(readPackedHeader(pack(noise, { kind: 'raw' }))).toMatchObject({ bits: 32, codec: 'none' });
});

test('only a UINT8 tensor of rank 1 with the magic is packed', () => {
  const bytes = pack(tensor('float32', [1], Float32Array.of(1)), { kind: 'raw' });
  expect(isPacked(tensor('uint8', [bytes.length], bytes))).toBe(true);
  expect(isPacked(tensor('uint8', [1, bytes.length], bytes))).toBe(false);
  expect(isPacked(tensor('uint8', [3], bytes.subarray(0, 3)))).toBe(false);
  expect(isPacked(tensor('uint8', [4], new Uint8Array(4)))).toBe(false);
  expect(isPacked(tensor('float32', [1], Float32Array.of(1)))).toBe(false);
});

test.each<[string, PackPolicy]>([
  ['raw', { kind: 'raw' }],
  ['lz4', { kind: 'packed', bits: 4, lo: 0, hi: 1 }],
])('%s: a cut or a flipped bit anywhere is refused', (_, policy) => {
  const bytes = pack(tensor('float32', [2, 40], new Float32Array(80).fill(0.4)), policy);
  for (let i = 0; i < bytes.length; i++) {
    expect(failure(() => unpack(bytes.subarray(0, i))).code).toBe('PACKED_CORRUPT');
    for (let bit = 0; bit < 8; bit++) {
      const damaged = bytes.slice();
      damaged[i]! ^= 1 << bit;
      expect(failure(() => unpack(damaged)).code).toBe('PACKED_CORRUPT');
    }
  }
  expect(failure(() => unpack(Uint8Array.of(...bytes, 0))).code).toBe('PACKED_CORRUPT');
});

test('damage with a right checksum is read or refused, never anything else', () => {
  fc.assert(
    fc.property(
      anyTensor,
      anyPolicy,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
      (input, policy, damage) => {
        const bytes = pack(input, policy);
        for (const [where, value] of damage) bytes[where % bytes.length] = value;
        try {
          const { dims, data } = unpack(sealed(bytes));
          expect(data.length).toBe(dims.reduce((product, dim) => product * dim, 1));
        } catch (error) {
          if (!isTierwiseError(error, 'PACKED_CORRUPT')) throw error;
        }
      },
    ),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
      const bytes = Uint8Array.of(0x54, 0x57, 0x50, 0x31, 1, ...noise);
      if (bytes.length > 7) sealed(bytes);
      expect(failure(() => unpack(bytes)).code).toBe('PACKED_CORRUPT');
    }),
  );
});

test.each<[string, (view: DataView, bytes: Uint8Array) => void, RegExp]>([
  ['another version', (view) => view.setUint8(4, 2), /version 2/],
  ['7 bits', (view) => view.setUint8(5, 7), /7 bits/],
  ['an unknown codec', (view) => view.setUint8(6, 9), /codec 9/],
  ['nine dimensions', (view) => view.setUint8(7, 9), /9 dimensions/],
  ['2^26 + 1 elements', (view) => view.setUint32(8, 2 ** 26 + 1, true), /more than/],
  ['2^26 elements in a few bytes', (view) => view.setUint32(8, 2 ** 26, true), /cannot hold/],
  ['a range of NaN', (view) => view.setFloat32(12, Number.NaN, true), /range/],
  ['lo above hi', (view) => view.setFloat32(12, 5, true), /range/],
  ['a payload beyond the end', (view) => view.setUint32(20, 1000, true), /payload/],
  ['a payload without its codec', (view) => view.setUint8(6, 0), /takes 40 bytes/],
])('%s is refused in words', (_, damage, message) => {
  const bytes = pack(tensor('float32', [80], new Float32Array(80)), {
    kind: 'packed',
    bits: 4,
    lo: 0,
    hi: 1,
  });
  damage(new DataView(bytes.buffer), bytes);
  const error = failure(() => unpack(sealed(bytes)));
  expect(error.code).toBe('PACKED_CORRUPT');
  expect(error.message).toMatch(message);
});

test('what cannot be packed is refused', () => {
  const one = tensor('float32', [1], Float32Array.of(1));
  const policy = { kind: 'packed', bits: 4, lo: 0, hi: 1 } as const;
  expect(failure(() => pack(one, { ...policy, hi: 0 })).code).toBe('PLAN_INVALID');
  expect(failure(() => pack(one, { ...policy, bits: 7 as 8 })).code).toBe('PLAN_INVALID');
  expect(failure(() => pack({ ...one, data: Float32Array.of(Number.NaN) }, policy)).code).toBe(
    'TENSOR_INVALID',
  );
  expect(failure(() => pack({ ...one, dims: [2] }, policy)).code).toBe('TENSOR_INVALID');
  expect(failure(() => pack({ ...one, dims: new Array(9).fill(1) }, policy)).code).toBe('TENSOR_INVALID');
  expect(failure(() => pack(tensor('float32', [0, 2 ** 33], new Float32Array(0)), policy)).code).toBe(
    'TENSOR_INVALID',
  );
});

/**
 * Maps of `channels` random 5x5 filters after ReLU over an image of h x w, normalised by the largest value: what
 * an untrained first layer gives.
 */
function featureMap(image: Uint8Array, h: number, w: number, channels: number): Tensor<'float32'> {
  const stream = random(1);
  const [outH, outW] = [h - 4, w - 4];
  const data = new Float32Array(channels * outH * outW);
  for (let c = 0; c < channels; c++) {
    const filter = Float32Array.from({ length: 25 }, () => stream.normal());
    for (let y = 0; y < outH; y++) {
      for (let x = 0; x < outW; x++) {
        let sum = 0;
        for (let i = 0; i < 25; i++) sum += filter[i]! * image[(y + Math.floor(i / 5)) * w + x + (i % 5)]!;
        data[(c * outH + y) * outW + x] = Math.max(0, sum);
      }
    }
  }
  const max = data.reduce((a, b) => Math.max(a, b));
  return tensor(
    'float32',
    [1, channels, outH, outW],
    data.map((value) => value / max),
  );
}

/** Packed bytes as a share of raw float32, for each width. */
function shares(map: Tensor<'float32'>): Map<number, number> {
  const policy = (bits: 1 | 2 | 3 | 4 | 5 | 6 | 8) => ({ kind: 'packed', bits, lo: 0, hi: 0.6 }) as const;
  return new Map(packedBits.map((bits) => [bits, pack(map, policy(bits)).length / map.data.byteLength]));
}

test('a sparse smooth map shrinks well below its bits', () => {
  // A bright disc on black, 64x64: flat areas, one contour.
  const image = Uint8Array.from({ length: 64 * 64 }, (_, i) => {
    const distance = Math.hypot((i >> 6) - 30, (i & 63) - 34);
    return Math.max(0, Math.min(255, (20 - distance) * 40));
  });
  const share = shares(featureMap(image, 64, 64, 8));
  expect(share.get(4)).toBeLessThan(0.06);
  expect(share.get(2)).toBeLessThan(0.03);
  const sizes = packedBits.map((bits) => share.get(bits)!);
  expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
});

test.skipIf(!process.env['TIERWISE_DATA'])('maps of real digits take a tenth of float32 and less', () => {
  const file = gunzipSync(
    readFileSync(join(process.env['TIERWISE_DATA']!, 'mnist', 't10k-images-idx3-ubyte.gz')),
  );
  for (let n = 0; n < 20; n++) {
    const image = file.subarray(16 + n * 784, 16 + (n + 1) * 784);
    const share = shares(featureMap(image, 28, 28, 16));
    expect(share.get(8)).toBeLessThan(0.25);
    expect(share.get(4)).toBeLessThan(0.1);
    expect(share.get(2)).toBeLessThan(0.05);
  }
});
