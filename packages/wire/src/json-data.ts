import {
  type DType,
  type DTypeArrays,
  elementCount,
  float16Bits,
  float16Value,
  type Tensor,
  TierwiseError,
  zeros,
} from '@tierwise/core';
import { datatypeNames } from './datatypes.ts';

/**
 * Elements from the JSON `data` of a tensor, flat or nested as its shape says.
 * @throws TierwiseError FRAME_CORRUPT when the nesting does not fit the shape, or a value does not fit the dtype
 */
export function dataFromJson(
  name: string,
  dtype: DType,
  dims: readonly number[],
  json: readonly unknown[],
): DTypeArrays[DType] {
  const count = elementCount(dims);
  const isFlat = json.length === count && !Array.isArray(json[0]);
  const values = isFlat ? json : flatten(name, dims, json);
  const data = zeros(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    if (!store(dtype, data, i, values[i])) {
      // Only a number is printed: JSON.stringify of what is nested deeply would end the stack.
      const what = typeof values[i] === 'number' ? values[i] : `(${typeof values[i]})`;
      throw corrupt(name, `${what} at element ${i} does not fit ${datatypeNames[dtype]}`);
    }
  }
  return data;
}

/** Recursion ends at the rank of the shape, however deep the JSON goes. */
function flatten(name: string, dims: readonly number[], json: readonly unknown[]): unknown[] {
  const values: unknown[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (depth === dims.length) {
      values.push(value);
      return;
    }
    if (!Array.isArray(value) || value.length !== dims[depth]) {
      throw corrupt(name, `data do not have the shape [${dims}]`);
    }
    for (const item of value) visit(item, depth + 1);
  };
  visit(json, 0);
  return values;
}

/** Whether `value` can be an element of `dtype`; then it is one, at `i`. */
function store(dtype: DType, data: DTypeArrays[DType], i: number, value: unknown): boolean {
  if (dtype === 'bool') {
    data[i] = value ? 1 : 0;
    return typeof value === 'boolean' || value === 0 || value === 1;
  }
  if (typeof value !== 'number') return false;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    if (!Number.isSafeInteger(value)) return false;
    data[i] = BigInt(value);
    return data[i] === BigInt(value);
  }
  if (dtype === 'float16') {
    data[i] = float16Bits(value);
    return Number.isFinite(float16Value(data[i]!));
  }
  data[i] = value;
  return dtype === 'float32' || dtype === 'float64' ? Number.isFinite(data[i]) : data[i] === value;
}

/**
 * The flat JSON `data` of a tensor.
 * @throws TierwiseError TENSOR_INVALID when JSON has no exact number for a value (NaN, infinity, beyond 2^53)
 */
export function dataToJson(name: string, { dtype, data }: Tensor): (number | boolean)[] {
  const numbers = Array.from<number | bigint, number>(data, Number);
  const values = dtype === 'float16' ? numbers.map(float16Value) : numbers;
  const bad = values.findIndex((value) =>
    dtype === 'int64' || dtype === 'uint64' ? !Number.isSafeInteger(value) : !Number.isFinite(value),
  );
  if (bad >= 0) {
    throw new TierwiseError(
      'TENSOR_INVALID',
      `tensor "${name}": JSON cannot carry ${data[bad]} at element ${bad}; ask for binary data`,
      { tensor: name, element: bad },
    );
  }
  return dtype === 'bool' ? values.map((value) => value !== 0) : values;
}

function corrupt(name: string, what: string): TierwiseError {
  return new TierwiseError('FRAME_CORRUPT', `tensor "${name}": ${what}`, { tensor: name });
}
