import { elementCount } from '@tierwise/core';
import { attrInt, attrInts } from '../attributes.ts';
import { broadcastDims, broadcastValues } from './broadcast.ts';
import { type Known, maxKnownElements, normalizeAxis, type Rule, type Scope } from './scope.ts';

/** The same elements under another shape. */
function reshaped(x: Known, dims: readonly number[]): Known[] {
  return [{ ...x, dims }];
}

/**
 * A tensor whose element at `index` is the element of `x` at `source(index)`; elements are followed only where
 * `x`'s are known.
 */
function picked(
  x: Known,
  dims: readonly number[],
  source: (index: readonly number[]) => readonly number[],
): Known {
  const { dtype, values } = x;
  const count = elementCount(dims);
  if (values === undefined || count > maxKnownElements) return { dtype, dims };
  const index = dims.map(() => 0);
  const result: number[] = [];
  for (let flat = 0; flat < count; flat++) {
    result.push(values[source(index).reduce((offset, i, axis) => offset * x.dims[axis]! + i, 0)]!);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < dims[axis]!) break;
      index[axis] = 0;
    }
  }
  return { dtype, dims, values: result };
}

/** Axes from the attribute of older opsets, else from input `at`; undefined when the node gives neither. */
function axesOf(scope: Scope, at: number): readonly number[] | undefined {
  return attrInts(scope.node, 'axes') ?? (scope.optional(at) ? scope.values(at) : undefined);
}

export const layoutRules: Readonly<Record<string, Rule>> = {
  /** 0 keeps a dimension unless allowzero, one -1 takes what is left. */
  Reshape(scope) {
    const x = scope.input(0);
    const wanted = attrInts(scope.node, 'shape') ?? scope.values(1);
    const allowZero = attrInt(scope.node, 'allowzero', 0) !== 0;
    const dims = wanted.map((dim, i) =>
      dim === 0 && !allowZero ? (x.dims[i] ?? scope.fail(`it keeps dimension ${i} of [${x.dims}]`)) : dim,
    );
    const open = dims.indexOf(-1);
    if (open >= 0) {
      const others = elementCount(dims.filter((_, i) => i !== open));
      dims[open] = others === 0 ? 0 : elementCount(x.dims) / others;
    }
    if (
      dims.some((dim) => !Number.isInteger(dim) || dim < 0) ||
      elementCount(dims) !== elementCount(x.dims)
    ) {
      scope.fail(`[${x.dims}] cannot take the shape [${wanted}]`);
    }
    return reshaped(x, dims);
  },
  Flatten(scope) {
    const x = scope.input(0);
    const axis = attrInt(scope.node, 'axis', 1);
    const at = axis === x.dims.length ? axis : normalizeAxis(scope, axis, x.dims.length);
    return reshaped(x, [elementCount(x.dims.slice(0, at)), elementCount(x.dims.slice(at))]);
  },
  Squeeze(scope) {
    const x = scope.input(0);
    const given = axesOf(scope, 1);
    const axes = given?.map((axis) => normalizeAxis(scope, axis, x.dims.length));
    if (axes?.some((axis) => x.dims[axis] !== 1)) scope.fail(`[${x.dims}] is not 1 along [${given}]`);
    return reshaped(
      x,
      x.dims.filter((dim, i) => (axes === undefined ? dim !== 1 : !axes.includes(i))),
    );
  },
  Unsqueeze(scope) {
    const x = scope.input(0);
    const given = axesOf(scope, 1) ?? scope.fail('it has no axes');
    const rank = x.dims.length + given.length;
    const axes = new Set(given.map((axis) => normalizeAxis(scope, axis, rank)));
    if (axes.size !== given.length) scope.fail(`its axes [${given}] repeat`);
    let next = 0;
    return reshaped(
      x,
      Array.from({ length: rank }, (_, i) => (axes.has(i) ? 1 : x.dims[next++]!)),
    );
  },
  Transpose(scope) {
    const x = scope.input(0);
    const perm = attrInts(scope.node, 'perm') ?? x.dims.map((_, i) => x.dims.length - 1 - i);
    if (perm.length !== x.dims.length || x.dims.some((_, i) => !perm.includes(i))) {
      scope.fail(`perm [${perm}] does not order the dimensions of [${x.dims}]`);
    }
    const place = x.dims.map((_, i) => perm.indexOf(i));
    return [
      picked(
        x,
        perm.map((axis) => x.dims[axis]!),
        (index) => place.map((at) => index[at]!),
      ),
    ];
  },
  Concat(scope) {
    const inputs = scope.node.input.map((_, index) => scope.input(index));
    const first = scope.input(0);
    const axis = normalizeAxis(scope, attrInt(scope.node, 'axis', 1), first.dims.length);
    const differs = (x: Known) =>
      x.dims.length !== first.dims.length || x.dims.some((dim, i) => i !== axis && dim !== first.dims[i]);
    if (inputs.some(differs)) {
      scope.fail(`shapes ${inputs.map((x) => `[${x.dims}]`).join(', ')} differ beside axis ${axis}`);
    }
    const dims = first.dims.with(
      axis,
      inputs.reduce((sum, x) => sum + x.dims[axis]!, 0),
    );
    const columns = inputs.map((x) => x.values);
    const follow = axis === 0 && elementCount(dims) <= maxKnownElements && !columns.includes(undefined);
    return [{ dtype: first.dtype, dims, ...(follow && { values: columns.flatMap((values) => values!) }) }];
  },
  /** Part sizes come from the attribute, the second input, or equal parts of which the last may be smaller. */
  Split(scope) {
    const x = scope.input(0);
    const axis = normalizeAxis(scope, attrInt(scope.node, 'axis', 0), x.dims.length);
    const size = x.dims[axis]!;
    const parts = attrInt(scope.node, 'num_outputs') ?? scope.node.output.length;
    const even = Math.ceil(size / parts);
    const sizes =
      attrInts(scope.node, 'split') ??
      (scope.optional(1) ? scope.values(1) : undefined) ??
      scope.node.output.map((_, i) => Math.max(0, Math.min(even, size - i * even)));
    if (sizes.some((part) => part < 0) || sizes.reduce((sum, part) => sum + part, 0) !== size) {
      scope.fail(`parts [${sizes}] do not add up to ${size}`);
    }
    let begin = 0;
    return sizes.map((part) => {
      const from = begin;
      begin += part;
      return picked(x, x.dims.with(axis, part), (index) => index.with(axis, index[axis]! + from));
    });
  },
  Slice(scope) {
    const x = scope.input(0);
    const rank = x.dims.length;
    const starts = attrInts(scope.node, 'starts') ?? scope.values(1);
    const ends = attrInts(scope.node, 'ends') ?? scope.values(2);
    const axes = axesOf(scope, 3) ?? starts.map((_, i) => i);
    const steps = scope.optional(4) ? scope.values(4) : starts.map(() => 1);
    if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
      scope.fail('starts, ends, axes and steps differ in length');
    }
    const dims = [...x.dims];
    const from = dims.map(() => 0);
    const by = dims.map(() => 1);
    for (let i = 0; i < starts.length; i++) {
      const axis = normalizeAxis(scope, axes[i]!, rank);
      const size = x.dims[axis]!;
      const step = steps[i]!;
      if (!Number.isInteger(step) || step === 0) scope.fail(`it steps by ${step}`);
      const wrap = (bound: number) => (bound < 0 ? bound + size : bound);
      const clamp = (bound: number, low: number, high: number) => Math.min(high, Math.max(low, bound));
      const start = step > 0 ? clamp(wrap(starts[i]!), 0, size) : clamp(wrap(starts[i]!), 0, size - 1);
      const end = step > 0 ? clamp(wrap(ends[i]!), 0, size) : clamp(wrap(ends[i]!), -1, size - 1);
      dims[axis] = Math.max(0, Math.ceil((end - start) / step));
      from[axis] = start;
      by[axis] = step;
    }
    return [picked(x, dims, (index) => index.map((i, axis) => from[axis]! + i * by[axis]!))];
  },
  Gather(scope) {
    const [x, indices] = [scope.input(0), scope.input(1)];
    const axis = normalizeAxis(scope, attrInt(scope.node, 'axis', 0), x.dims.length);
    const dims = [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)];
    const at = indices.values?.map((index) => (index < 0 ? index + x.dims[axis]! : index));
    if (at === undefined) return [{ dtype: x.dtype, dims }];
    if (at.some((index) => index < 0 || index >= x.dims[axis]!))
      scope.fail(`its indices are outside [${x.dims}]`);
    const rank = indices.dims.length;
    return [
      picked(x, dims, (index) => {
        const flat = index
          .slice(axis, axis + rank)
          .reduce((offset, i, d) => offset * indices.dims[d]! + i, 0);
        return [...index.slice(0, axis), at[flat]!, ...index.slice(axis + rank)];
      }),
    ];
  },
  GatherElements: (scope) => [{ dtype: scope.input(0).dtype, dims: scope.input(1).dims }],
  Expand(scope) {
    const x = scope.input(0);
    const dims = broadcastDims(scope, [x.dims, scope.values(1)]);
    const values = broadcastValues(x, dims);
    return [{ dtype: x.dtype, dims, ...(values && { values }) }];
  },
  Tile(scope) {
    const x = scope.input(0);
    const repeats = scope.values(1);
    if (repeats.length !== x.dims.length) scope.fail(`${repeats.length} repeats for shape [${x.dims}]`);
    const dims = x.dims.map((dim, i) => dim * repeats[i]!);
    return [picked(x, dims, (index) => index.map((i, axis) => i % x.dims[axis]!))];
  },
  Pad(scope) {
    const x = scope.input(0);
    const pads = attrInts(scope.node, 'pads') ?? scope.values(1);
    const axes = (scope.optional(3) ? scope.values(3) : x.dims.map((_, i) => i)).map((axis) =>
      normalizeAxis(scope, axis, x.dims.length),
    );
    if (pads.length !== 2 * axes.length) scope.fail(`${pads.length} pads for ${axes.length} axes`);
    const dims = [...x.dims];
    for (const [i, axis] of axes.entries()) dims[axis]! += pads[i]! + pads[i + axes.length]!;
    return [{ dtype: x.dtype, dims }];
  },
  DepthToSpace(scope) {
    const { dtype, dims } = scope.input(0);
    const block = attrInt(scope.node, 'blocksize', 1);
    if (dims.length !== 4) scope.fail(`its input has the shape [${dims}]`);
    return [{ dtype, dims: [dims[0]!, dims[1]! / block ** 2, dims[2]! * block, dims[3]! * block] }];
  },
};
