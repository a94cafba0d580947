import { type DType, isTierwiseError, type Tensor, tensor } from '@tierwise/core';
import { expect, test } from 'vitest';
import { datatypeNames, dtypeOf } from './datatypes.ts';
import { dataFromJson, dataToJson } from './json-data.ts';

const corrupt = expect.toSatisfy((error: unknown) => isTierwiseError(error, 'FRAME_CORRUPT'));

test('names go both ways, and no other name is known', () => {
  for (const [dtype, name] of Object.entries(datatypeNames)) expect(dtypeOf(name)).toBe(dtype);
  for (const name of ['BYTES', 'BF16', 'fp32', '', 'constructor']) expect(dtypeOf(name)).toBeUndefined();
});

test.each<[Tensor, readonly unknown[]]>([
  [tensor('float32', [2], Float32Array.of(0.5, -3)), [0.5, -3]],
  [tensor('float64', [1], Float64Array.of(0.1)), [0.1]],
  [tensor('float16', [2], Uint16Array.of(0x3c00, 0xb800)), [1, -0.5]],
  [tensor('int8', [2], Int8Array.of(-128, 127)), [-128, 127]],
  [tensor('uint8', [2], Uint8Array.of(0, 255)), [0, 255]],
  [tensor('int16', [1], Int16Array.of(-32768)), [-32768]],
  [tensor('uint16', [1], Uint16Array.of(65535)), [65535]],
  [tensor('int32', [1], Int32Array.of(-(2 ** 31))), [-(2 ** 31)]],
  [tensor('uint32', [1], Uint32Array.of(2 ** 32 - 1)), [2 ** 32 - 1]],
  [tensor('int64', [1], BigInt64Array.of(-(2n ** 53n) + 1n)), [-(2 ** 53) + 1]],
  [tensor('uint64', [1], BigUint64Array.of(2n ** 53n - 1n)), [2 ** 53 - 1]],
  [tensor('bool', [2], Uint8Array.of(0, 1)), [false, true]],
  [tensor('float32', [], Float32Array.of(7)), [7]],
  [tensor('float32', [0, 3], new Float32Array(0)), []],
])('%o is %j', (value, json) => {
  expect(dataToJson('x', value)).toEqual(json);
  expect(dataFromJson('x', value.dtype, value.dims, json)).toEqual(value.data);
});

test('nested data are row-major', () => {
  const nested = [
    [
      [1, 2],
      [3, 4],
    ],
    [
      [5, 6],
      [7, 8],
    ],
  ];
  expect(dataFromJson('x', 'int32', [2, 2, 2], nested)).toEqual(Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  expect(dataFromJson('x', 'bool', [1, 2], [[1, false]])).toEqual(Uint8Array.of(1, 0));
});

test.each<[DType, readonly number[], readonly unknown[]]>([
  ['float32', [2], [1]],
  ['float32', [2], [1, 2, 3]],
  ['float32', [2, 2], [[1, 2], [3]]],
  ['float32', [2, 2], [[1, 2, 3, 4]]],
  ['float32', [2, 1], [[1], [[2]]]],
  ['float32', [2, 1], [1, [2]]],
  ['float32', [1], ['1']],
  ['float32', [1], [null]],
  ['float32', [1], [1e39]],
  ['float16', [1], [65520]],
  ['int8', [1], [128]],
  ['uint8', [1], [-1]],
  ['uint8', [1], [1.5]],
  ['int64', [1], [2 ** 53]],
  ['int64', [1], [0.5]],
  ['uint64', [1], [-1]],
  ['bool', [1], [2]],
  ['bool', [1], ['true']],
])('%s of shape %j does not take %j', (dtype, dims, json) => {
  expect(() => dataFromJson('x', dtype, dims, json)).toThrow(corrupt);
});

test('JSON as deep as a stack is refused before the stack ends', () => {
  const deep = JSON.parse('['.repeat(200_000) + ']'.repeat(200_000));
  expect(() => dataFromJson('x', 'float32', [1, 1], deep)).toThrow(corrupt);
  expect(() => dataFromJson('x', 'float32', [1], deep)).toThrow(corrupt);
});

test.each<Tensor>([
  tensor('float32', [1], Float32Array.of(Number.NaN)),
  tensor('float16', [1], Uint16Array.of(0x7c00)),
  tensor('int64', [1], BigInt64Array.of(2n ** 53n)),
])('%o has no JSON', (value) => {
  expect(() => dataToJson('x', value)).toThrow(
    expect.toSatisfy((error: unknown) => isTierwiseError(error, 'TENSOR_INVALID')),
  );
});
