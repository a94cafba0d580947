import type { DType } from '@tierwise/core';

/** Names of element types in the Open Inference Protocol. BYTES and BF16 have no counterpart here. */
export const datatypeNames: Readonly<Record<DType, string>> = {
  float32: 'FP32',
  float64: 'FP64',
  float16: 'FP16',
  int8: 'INT8',
  uint8: 'UINT8',
  int16: 'INT16',
  uint16: 'UINT16',
  int32: 'INT32',
  uint32: 'UINT32',
  int64: 'INT64',
  uint64: 'UINT64',
  bool: 'BOOL',
};

const dtypesByName = new Map(Object.entries(datatypeNames).map(([dtype, name]) => [name, dtype as DType]));

/** The dtype of a protocol name, or undefined. */
export function dtypeOf(datatype: string): DType | undefined {
  return dtypesByName.get(datatype);
}
