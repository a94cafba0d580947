import { create } from '@bufbuild/protobuf';
import { type DType, fromBytes, type Tensor, TierwiseError, tensor, toBytes, zeros } from '@tierwise/core';
import { type TensorProto, TensorProtoSchema, TensorProto_DataType as Type } from 'onnx-buf';

const dataTypes: Readonly<Record<DType, Type>> = {
  float32: Type.FLOAT,
  float64: Type.DOUBLE,
  float16: Type.FLOAT16,
  int8: Type.INT8,
  uint8: Type.UINT8,
  int16: Type.INT16,
  uint16: Type.UINT16,
  int32: Type.INT32,
  uint32: Type.UINT32,
  int64: Type.INT64,
  uint64: Type.UINT64,
  bool: Type.BOOL,
};

const dtypes = new Map<number, DType>(
  (Object.keys(dataTypes) as DType[]).map((dtype) => [dataTypes[dtype], dtype]),
);

/** The ONNX element type of `dtype`. */
export function dataTypeOf(dtype: DType): Type {
  return dataTypes[dtype];
}

/**
 * The dtype of an ONNX element type.
 * @throws TierwiseError MODEL_UNSUPPORTED, naming `label`, for strings, complex numbers and types of 8 bits or
 *   fewer that are not whole numbers
 */
export function dtypeOf(dataType: number, label: string): DType {
  const dtype = dtypes.get(dataType);
  if (dtype === undefined) {
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `${label} has the element type ${Type[dataType] ?? dataType}, which is not supported`,
      { tensor: label },
    );
  }
  return dtype;
}

/**
 * The tensor that `proto` stores, raw or in a typed field. Aligned raw data is shared, all else copied.
 * @throws TierwiseError MODEL_UNSUPPORTED on its element type; MODEL_CORRUPT when data and shape disagree
 */
export function fromTensorProto(proto: TensorProto, label = `tensor "${proto.name}"`): Tensor {
  const dtype = dtypeOf(proto.dataType, label);
  const dims = proto.dims.map(Number);
  try {
    const data = proto.rawData.length > 0 ? fromBytes(dtype, proto.rawData) : fromTyped(proto, dtype);
    return tensor(dtype, dims, data);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TierwiseError('MODEL_CORRUPT', `${label}: ${reason}`, { tensor: label }, { cause });
  }
}

/** The typed field that belongs to `dtype`, as an array of it; float16 is kept as bits, as ONNX stores it. */
function fromTyped(proto: TensorProto, dtype: DType): Tensor['data'] {
  if (dtype === 'int64') return BigInt64Array.from(proto.int64Data);
  if (dtype === 'uint64') return BigUint64Array.from(proto.uint64Data);
  const values =
    dtype === 'float32'
      ? proto.floatData
      : dtype === 'float64'
        ? proto.doubleData
        : dtype === 'uint32'
          ? proto.uint64Data.map(Number)
          : proto.int32Data;
  const data = zeros(dtype as Exclude<DType, 'int64' | 'uint64'>, values.length);
  data.set(values);
  return data;
}

/** `value` as a named ONNX tensor with raw data that shares its memory. */
export function toTensorProto(name: string, value: Tensor): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: value.dims.map(BigInt),
    dataType: dataTypes[value.dtype],
    rawData: toBytes(value.data) as Uint8Array<ArrayBuffer>,
  });
}
