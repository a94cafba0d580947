import { elementCount } from '@tierwise/core';
import { attrInt, attrInts } from '../attributes.ts';
import { broadcastDims } from './broadcast.ts';
import { normalizeAxis, type Rule } from './scope.ts';

/** Which axes a reduction works on: the attribute before they became an input, in either case all when empty. */
const reduce =
  (fold?: (values: readonly number[]) => number): Rule =>
  (scope) => {
    const x = scope.input(0);
    const rank = x.dims.length;
    const given = attrInts(scope.node, 'axes') ?? (scope.optional(1) ? scope.values(1) : []);
    if (given.length === 0 && attrInt(scope.node, 'noop_with_empty_axes', 0) === 1) return [x];
    const axes = new Set(
      given.length === 0 ? x.dims.keys() : given.map((axis) => normalizeAxis(scope, axis, rank)),
    );
    const keep = attrInt(scope.node, 'keepdims', 1) !== 0;
    const dims = x.dims.flatMap((dim, i) => (axes.has(i) ? (keep ? [1] : []) : [dim]));
    const whole = elementCount(dims) === 1 && fold !== undefined && x.values !== undefined;
    return [{ dtype: x.dtype, dims, ...(whole && { values: [fold(x.values)] }) }];
  };

const arg: Rule = (scope) => {
  const { dims } = scope.input(0);
  const axis = normalizeAxis(scope, attrInt(scope.node, 'axis', 0), dims.length);
  const keep = attrInt(scope.node, 'keepdims', 1) !== 0;
  return [{ dtype: 'int64', dims: dims.flatMap((dim, i) => (i === axis ? (keep ? [1] : []) : [dim])) }];
};

const reductions =
  'ReduceMean ReduceMax ReduceMin ReduceSumSquare ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp';

export const matrixRules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(reductions.split(' ').map((op) => [op, reduce()])),
  ReduceSum: reduce((values) => values.reduce((sum, value) => sum + value, 0)),
  ReduceProd: reduce(elementCount),
  ArgMax: arg,
  ArgMin: arg,
  /** NumPy's rule: vectors get a dimension that is dropped again, leading dimensions broadcast. */
  MatMul(scope) {
    const [a, b] = [scope.input(0), scope.input(1)];
    if (a.dims.length === 0 || b.dims.length === 0) scope.fail('it cannot multiply scalars');
    const left = a.dims.length === 1 ? [1, ...a.dims] : a.dims;
    const right = b.dims.length === 1 ? [...b.dims, 1] : b.dims;
    if (left.at(-1) !== right.at(-2)) scope.fail(`shapes [${a.dims}] and [${b.dims}] do not multiply`);
    const dims = broadcastDims(scope, [left.slice(0, -2), right.slice(0, -2)]);
    if (a.dims.length > 1) dims.push(left.at(-2)!);
    if (b.dims.length > 1) dims.push(right.at(-1)!);
    return [{ dtype: a.dtype, dims }];
  },
  /** a: [m, k] or [k, m] with transA; b: [k, n] or [n, k] with transB; gives [m, n]. */
  Gemm(scope) {
    const [a, b] = [scope.input(0), scope.input(1)];
    const [m, ka] = attrInt(scope.node, 'transA', 0) !== 0 ? [a.dims[1], a.dims[0]] : a.dims;
    const [kb, n] = attrInt(scope.node, 'transB', 0) !== 0 ? [b.dims[1], b.dims[0]] : b.dims;
    if (a.dims.length !== 2 || b.dims.length !== 2 || ka !== kb) {
      scope.fail(`shapes [${a.dims}] and [${b.dims}] do not multiply`);
    }
    const c = scope.optional(2);
    if (c !== undefined) broadcastDims(scope, [[m!, n!], c.dims]);
    return [{ dtype: a.dtype, dims: [m!, n!] }];
  },
};
