import { create } from '@bufbuild/protobuf';
import type { DType } from '@tierwise/core';
import {
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import { dataTypeOf } from './tensors.ts';

/** A dimension as a model states it: its size, the name of one that varies, or undefined when neither is known. */
export type OpenDim = number | string | undefined;

/** The statement that tensor `name` has this element type and these dimensions. */
export function valueInfo(name: string, dtype: DType, dims: readonly OpenDim[]): ValueInfoProto {
  const dim = dims.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        typeof size === 'number'
          ? { case: 'dimValue', value: BigInt(size) }
          : size === undefined
            ? { case: undefined }
            : { case: 'dimParam', value: size },
    }),
  );
  const tensorType = create(TypeProto_TensorSchema, {
    elemType: dataTypeOf(dtype),
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensorType } }),
  });
}

/** The dimensions that `info` states; undefined when it states no shape or is not a tensor. */
export function statedDims(info: ValueInfoProto): OpenDim[] | undefined {
  if (info.type?.value.case !== 'tensorType') return undefined;
  return info.type.value.value.shape?.dim.map(({ value }) => {
    // Exporters also write 0 and -1 for a dimension that varies.
    if (value.case === 'dimValue') return value.value > 0n ? Number(value.value) : undefined;
    return value.case === 'dimParam' && value.value !== '' ? value.value : undefined;
  });
}
