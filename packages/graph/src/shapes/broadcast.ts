import { type DType, elementCount } from '@tierwise/core';
import { type Known, maxKnownElements, type Rule, type Scope } from './scope.ts';

/** The shape that all `shapes` stretch to, aligned at the last dimension (ONNX multidirectional broadcasting). */
export function broadcastDims(scope: Scope, shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, i) => {
    let size = 1;
    for (const dims of shapes) {
      const dim = dims[dims.length - rank + i] ?? 1;
      if (dim === 1 || dim === size) continue;
      if (size !== 1) scope.fail(`shapes ${shapes.map((s) => `[${s}]`).join(' and ')} do not broadcast`);
      size = dim;
    }
    return size;
  });
}

/** Elements of a known tensor stretched to `dims`; undefined when its elements are unknown or too many. */
export function broadcastValues(known: Known, dims: readonly number[]): number[] | undefined {
  const { values } = known;
  const count = elementCount(dims);
  if (values === undefined || count > maxKnownElements) return undefined;
  const offset = dims.length - known.dims.length;
  return Array.from({ length: count }, (_, flat) => {
    let source = 0;
    let stride = 1;
    let rest = flat;
    for (let i = dims.length - 1; i >= 0; i--) {
      const index = rest % dims[i]!;
      rest = Math.floor(rest / dims[i]!);
      const dim = known.dims[i - offset] ?? 1;
      if (dim !== 1) source += index * stride;
      stride *= dim;
    }
    return values[source]!;
  });
}

/** `value` as an element of `dtype`: whole numbers lose their fraction, float32 its extra digits. */
export function asElement(dtype: DType, value: number): number {
  if (dtype === 'float64') return value;
  if (dtype === 'float32' || dtype === 'float16') return Math.fround(value);
  if (dtype === 'bool') return value === 0 ? 0 : 1;
  return Math.trunc(value);
}

/**
 * A rule for an operator that works element by element on broadcast inputs. With `fold` it also computes the
 * elements when all inputs' are known. The result has the dtype of input `from`, or `dtype` when given.
 */
export function elementwise(
  fold?: (...elements: number[]) => number,
  { dtype, from = 0 }: { dtype?: DType; from?: number } = {},
): Rule {
  return (scope) => {
    const inputs = scope.node.input.map((_, index) => scope.input(index));
    const result = dtype ?? scope.input(from).dtype;
    const dims = broadcastDims(
      scope,
      inputs.map((input) => input.dims),
    );
    const columns = fold && inputs.map((input) => broadcastValues(input, dims));
    if (columns === undefined || columns.includes(undefined)) return [{ dtype: result, dims }];
    const values = Array.from({ length: elementCount(dims) }, (_, i) =>
      asElement(result, fold!(...columns.map((column) => column![i]!))),
    );
    return [{ dtype: result, dims, values }];
  };
}
