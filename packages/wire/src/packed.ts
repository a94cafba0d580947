import { crc32, elementCount, fromBytes, type Tensor, TierwiseError, tensor, toBytes } from '@tierwise/core';
import { bitPlaneBytes, fromBitPlanes, toBitPlanes } from './bit-planes.ts';
import { lz4Compress, lz4Decompress } from './lz4.ts';
import { dequantize, type PackedBits, type QuantizeRange, quantize, rangeFault } from './quantize.ts';

/** How a tensor is written: the codec policy of a Plan's link (`CodecPolicy` of @tierwise/plan fits). */
export type PackPolicy = { readonly kind: 'raw' } | ({ readonly kind: 'packed' } & QuantizeRange);

/** What a packed tensor says about itself before its payload; see docs/wire.md for the byte table. */
export interface PackedHeader {
  /** Bits of an element: 32 is raw float32, anything else a code of the range lo..hi. */
  readonly bits: PackedBits | 32;
  readonly codec: 'none' | 'lz4';
  readonly dims: readonly number[];
  readonly lo: number;
  readonly hi: number;
  readonly payload: Uint8Array;
}

/** "TWP1" in ASCII. */
const magic = Uint8Array.of(0x54, 0x57, 0x50, 0x31);
const version = 1;
const codecs = ['none', 'lz4'] as const;
const maxRank = 8;
const maxElements = 2 ** 26;

/** Bounds each dimension too, which a dimension of 0 would hide. */
function tooLarge(dims: readonly number[]): boolean {
  return Math.max(...dims, elementCount(dims)) > maxElements;
}

/** Bytes before the payload. */
function headerBytes(rank: number): number {
  return 24 + 4 * rank;
}

/**
 * `input` (float32, any shape of rank 0..8 and at most 2^26 elements) as the bytes of a packed tensor: as it is,
 * or quantised, in bit planes and through LZ4 when that is smaller. The same input gives the same bytes.
 * @throws TierwiseError TENSOR_INVALID on a NaN that is to be quantised or a shape beyond the limits;
 *   PLAN_INVALID when the policy's bits or range cannot be used
 */
export function pack(input: Tensor<'float32'>, policy: PackPolicy): Uint8Array<ArrayBuffer> {
  const { dims, data } = input;
  if (dims.length > maxRank || tooLarge(dims) || elementCount(dims) !== data.length) {
    throw new TierwiseError(
      'TENSOR_INVALID',
      `a tensor of shape [${dims}] with ${data.length} elements cannot be packed: at most ${maxElements} elements and ${maxRank} dimensions`,
      { dims, elements: data.length },
    );
  }
  if (policy.kind === 'raw') {
    return write({ bits: 32, codec: 'none', dims, lo: 0, hi: 0, payload: toBytes(data) });
  }
  const { bits, lo, hi } = policy;
  const fault = rangeFault(policy);
  if (fault !== undefined)
    throw new TierwiseError('PLAN_INVALID', `codec policy: ${fault}`, { bits, lo, hi });
  const planes = toBitPlanes(quantize(data, policy), bits);
  const block = lz4Compress(planes);
  const smaller = block.length < planes.length;
  return write({ bits, codec: smaller ? 'lz4' : 'none', dims, lo, hi, payload: smaller ? block : planes });
}

function write({ bits, codec, dims, lo, hi, payload }: PackedHeader): Uint8Array<ArrayBuffer> {
  const start = headerBytes(dims.length);
  const bytes = new Uint8Array(start + payload.length);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  bytes.set([version, bits, codecs.indexOf(codec), dims.length], 4);
  dims.forEach((dim, i) => {
    view.setUint32(8 + 4 * i, dim, true);
  });
  view.setFloat32(start - 16, lo, true);
  view.setFloat32(start - 12, hi, true);
  view.setUint32(start - 8, payload.length, true);
  bytes.set(payload, start);
  view.setUint32(start - 4, crc32(bytes.subarray(0, start - 4), payload), true);
  return bytes;
}

/**
 * Checks a packed tensor whole, checksum included, and gives its header and a view of its payload, so that a
 * receiver can refuse a shape before memory is taken for it.
 * @throws TierwiseError PACKED_CORRUPT when any byte is not as the format says
 */
export function readPackedHeader(bytes: Uint8Array): PackedHeader {
  if (!hasMagic(bytes)) throw corrupt('it does not begin with "TWP1"');
  if (bytes.length < headerBytes(0)) throw corrupt(`${bytes.length} bytes are too few for its header`);
  const [found, bits, codecNumber, rank] = bytes.subarray(4, 8) as unknown as [
    number,
    number,
    number,
    number,
  ];
  if (found !== version) throw corrupt(`it has version ${found}, this reader knows ${version}`);
  const start = headerBytes(rank);
  if (rank > maxRank || bytes.length < start) throw corrupt(`${bytes.length} bytes with ${rank} dimensions`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const payload = new Uint8Array(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
  const payloadBytes = view.getUint32(start - 8, true);
  if (payloadBytes !== payload.length)
    throw corrupt(`payload of ${payload.length} bytes, not ${payloadBytes}`);
  if (crc32(bytes.subarray(0, start - 4), payload) !== view.getUint32(start - 4, true)) {
    throw corrupt('its checksum does not match');
  }

  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(8 + 4 * i, true));
  if (elementCount(dims) > maxElements)
    throw corrupt(`shape [${dims}] has more than ${maxElements} elements`);
  const codec = codecs[codecNumber];
  if (codec === undefined) throw corrupt(`codec ${codecNumber} is unknown`);
  const lo = view.getFloat32(start - 16, true);
  const hi = view.getFloat32(start - 12, true);
  const header = { bits: bits as PackedHeader['bits'], codec, dims, lo, hi, payload };
  const fault = header.bits === 32 ? undefined : rangeFault({ bits: header.bits, lo, hi });
  if (fault !== undefined) throw corrupt(fault);
  return header;
}

/**
 * The tensor that `pack` was given, quantised ones rounded to the nearest level. Raw values share memory with
 * `bytes` when they are aligned there.
 * @throws TierwiseError PACKED_CORRUPT when any byte is not as the format says
 */
export function unpack(bytes: Uint8Array): Tensor<'float32'> {
  return unpackPayload(readPackedHeader(bytes));
}

/** As `unpack`, of what `readPackedHeader` has checked. */
export function unpackPayload({ bits, codec, dims, lo, hi, payload }: PackedHeader): Tensor<'float32'> {
  const count = elementCount(dims);
  const size = bits === 32 ? 4 * count : bitPlaneBytes(bits, count);
  const content = codec === 'lz4' ? lz4Decompress(payload, size) : payload;
  if (content.length !== size) throw corrupt(`shape [${dims}] takes ${size} bytes, not ${content.length}`);
  if (bits === 32) return tensor('float32', dims, fromBytes('float32', content));
  return tensor('float32', dims, dequantize(fromBitPlanes(content, bits, count), { bits, lo, hi }));
}

/** Whether a tensor that came over a link is a packed one: UINT8 of rank 1 that begins with the magic. */
export function isPacked(input: Tensor): input is Tensor<'uint8'> {
  return input.dtype === 'uint8' && input.dims.length === 1 && hasMagic(input.data as Uint8Array);
}

function hasMagic(bytes: Uint8Array): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}

function corrupt(what: string): TierwiseError {
  return new TierwiseError('PACKED_CORRUPT', `packed tensor: ${what}`);
}
