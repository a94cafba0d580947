import { TierwiseError } from './tierwise-error.ts';

/** How each element type is held in memory. float16 and bfloat16 are raw bit patterns; bool is 0 or 1. */
export interface DTypeArrays {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
}

/** Element types of a Tensor, named as safetensors and typed arrays do. */
export type DType = keyof DTypeArrays;

const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

/** Bytes that one element takes. */
export const bytesPerElement = Object.fromEntries(
  Object.entries(arrayTypes).map(([dtype, type]) => [dtype, type.BYTES_PER_ELEMENT]),
) as Readonly<Record<DType, number>>;

/** A dense row-major tensor. `data.length` equals the product of `dims`; `dims` is empty for a scalar. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly dims: readonly number[];
  readonly data: DTypeArrays[D];
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(dims: readonly number[]): number {
  return dims.reduce((count, dim) => count * dim, 1);
}

/**
 * A tensor over `data`, which is not copied.
 * @throws TierwiseError TENSOR_INVALID when a dimension is not a whole number >= 0 or the length does not match
 */
export function tensor<D extends DType>(dtype: D, dims: readonly number[], data: DTypeArrays[D]): Tensor<D> {
  if (!dims.every((dim) => Number.isSafeInteger(dim) && dim >= 0) || elementCount(dims) !== data.length) {
    throw new TierwiseError(
      'TENSOR_INVALID',
      `a ${dtype} tensor of shape [${dims}] cannot hold ${data.length} elements`,
      {
        dtype,
        dims,
        elements: data.length,
      },
    );
  }
  return { dtype, dims, data };
}

/** A new array of `length` zeros for `dtype`. */
export function zeros<D extends DType>(dtype: D, length: number): DTypeArrays[D] {
  return new arrayTypes[dtype](length) as DTypeArrays[D];
}

/**
 * Little-endian `bytes` as elements of `dtype`, sharing memory when the offset is aligned and copied when not.
 * @throws TierwiseError TENSOR_INVALID when the byte length is not a whole number of elements
 */
export function fromBytes<D extends DType>(dtype: D, bytes: Uint8Array): DTypeArrays[D] {
  const size = bytesPerElement[dtype];
  if (bytes.byteLength % size !== 0) {
    throw new TierwiseError(
      'TENSOR_INVALID',
      `${bytes.byteLength} bytes are not a whole number of ${dtype} elements`,
      { dtype },
    );
  }
  const aligned = bytes.byteOffset % size === 0 ? bytes : Uint8Array.prototype.slice.call(bytes); // a Buffer's own slice would share
  return new arrayTypes[dtype](
    aligned.buffer as ArrayBuffer,
    aligned.byteOffset,
    bytes.byteLength / size,
  ) as DTypeArrays[D];
}

/** The little-endian bytes of a tensor's data, sharing its memory. */
export function toBytes(data: DTypeArrays[DType]): Uint8Array {
  return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
}
