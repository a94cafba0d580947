import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { bytesPerElement, type DType, fromBytes, isTierwiseError, tensor } from '@tierwise/core';
import fc from 'fast-check';
import { TensorProtoSchema, TensorProto_DataType as Type } from 'onnx-buf';
import { expect, test } from 'vitest';
import { dataTypeOf, dtypeOf, fromTensorProto, toTensorProto } from './tensors.ts';

const dtypes = Object.keys(bytesPerElement) as DType[];

test.each(dtypes)('a %s tensor comes back from its bytes as it was', (dtype) => {
  const dims = fc.array(fc.nat({ max: 4 }), { maxLength: 4 });
  fc.assert(
    fc.property(dims, fc.infiniteStream(fc.nat({ max: 255 })), (shape, noise) => {
      const length = shape.reduce((count, dim) => count * dim, 1) * bytesPerElement[dtype];
      const bytes = Uint8Array.from({ length }, () => noise.next().value as number);
      const value = tensor(dtype, shape, fromBytes(dtype, bytes));
      const stored = toBinary(TensorProtoSchema, toTensorProto('t', value));
      expect(fromTensorProto(fromBinary(TensorProtoSchema, stored))).toEqual(value);
    }),
  );
  expect(dtypeOf(dataTypeOf(dtype), 't')).toBe(dtype);
});

test('typed fields are read as what they store', () => {
  const read = (fields: Parameters<typeof create<typeof TensorProtoSchema>>[1]) => [
    ...fromTensorProto(create(TensorProtoSchema, { dims: [2n], ...fields })).data,
  ];
  expect(read({ dataType: Type.FLOAT, floatData: [0.5, -1] })).toEqual([0.5, -1]);
  expect(read({ dataType: Type.DOUBLE, doubleData: [0.1, -1] })).toEqual([0.1, -1]);
  expect(read({ dataType: Type.INT64, int64Data: [-(2n ** 60n), 1n] })).toEqual([-(2n ** 60n), 1n]);
  expect(read({ dataType: Type.UINT64, uint64Data: [2n ** 63n, 1n] })).toEqual([2n ** 63n, 1n]);
  expect(read({ dataType: Type.UINT32, uint64Data: [4294967295n, 1n] })).toEqual([4294967295, 1]);
  expect(read({ dataType: Type.INT8, int32Data: [-128, 127] })).toEqual([-128, 127]);
  expect(read({ dataType: Type.BOOL, int32Data: [1, 0] })).toEqual([1, 0]);
  // 1.0 and -2.0 as half floats: ONNX keeps the bits in int32_data.
  expect(read({ dataType: Type.FLOAT16, int32Data: [0x3c00, 0xc000] })).toEqual([0x3c00, 0xc000]);
});

test('what no tensor can hold is refused by name', () => {
  const refused = (code: string, fields: Parameters<typeof create<typeof TensorProtoSchema>>[1]) => {
    try {
      fromTensorProto(create(TensorProtoSchema, { name: 'w', ...fields }));
    } catch (error) {
      expect(isTierwiseError(error) && error.code).toBe(code);
      expect(String(error)).toContain('tensor "w"');
      return;
    }
    expect.unreachable();
  };
  refused('MODEL_UNSUPPORTED', { dataType: Type.STRING, dims: [1n] });
  refused('MODEL_UNSUPPORTED', { dataType: Type.BFLOAT16, dims: [1n] });
  refused('MODEL_CORRUPT', { dataType: Type.FLOAT, dims: [2n], rawData: new Uint8Array(7) });
  refused('MODEL_CORRUPT', { dataType: Type.FLOAT, dims: [2n], floatData: [1] });
  refused('MODEL_CORRUPT', { dataType: Type.FLOAT, dims: [-1n], floatData: [1] });
});
