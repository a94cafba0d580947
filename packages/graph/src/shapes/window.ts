import { elementCount } from '@tierwise/core';
import { attrInt, attrInts, attrString } from '../attributes.ts';
import type { Known, Rule, Scope } from './scope.ts';

/** How a window slides over the spatial dimensions; all lists have one entry for each of them. */
interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padsBegin: readonly number[];
  readonly padsEnd: readonly number[];
  readonly autoPad: 'NOTSET' | 'SAME_UPPER' | 'SAME_LOWER' | 'VALID';
}

/** The window of a node; `weightKernel` is the kernel's size as its weights say it, for operators that have weights. */
function windowOf(scope: Scope, spatial: number, weightKernel?: readonly number[]): Window {
  const { node } = scope;
  const list = (name: string, fallback: readonly number[], least: number) => {
    const values = attrInts(node, name) ?? fallback;
    if (values.length !== fallback.length || values.some((value) => value < least)) {
      scope.fail(`${name} [${values}] do not fit ${spatial} spatial dimensions`);
    }
    return values;
  };
  const ones = new Array<number>(spatial).fill(1);
  const kernel = attrInts(node, 'kernel_shape') ?? weightKernel ?? scope.fail('it has no kernel_shape');
  if (kernel.length !== spatial || kernel.some((k, i) => k < 1 || k !== (weightKernel?.[i] ?? k))) {
    scope.fail(`kernel_shape [${kernel}] does not fit its input${weightKernel ? ' and weights' : ''}`);
  }
  // Conv refuses negative pads in ONNX Runtime, so we refuse them here.
  const pads = list('pads', new Array<number>(2 * spatial).fill(0), 0);
  const autoPad = attrString(node, 'auto_pad', 'NOTSET') || 'NOTSET';
  if (autoPad !== 'NOTSET' && autoPad !== 'SAME_UPPER' && autoPad !== 'SAME_LOWER' && autoPad !== 'VALID') {
    scope.fail(`auto_pad ${autoPad} is unknown`);
  }
  return {
    kernel,
    strides: list('strides', ones, 1),
    dilations: list('dilations', ones, 1),
    padsBegin: autoPad === 'NOTSET' ? pads.slice(0, spatial) : ones.map(() => 0),
    padsEnd: autoPad === 'NOTSET' ? pads.slice(spatial) : ones.map(() => 0),
    autoPad,
  };
}

/** Output size along each spatial dimension. `ceil` rounds up, but never to a window that starts in the padding. */
function slide(scope: Scope, sizes: readonly number[], window: Window, ceil: boolean): number[] {
  return sizes.map((size, i) => {
    const stride = window.strides[i]!;
    if (window.autoPad.startsWith('SAME')) return Math.ceil(size / stride);
    const begin = window.padsBegin[i]!;
    const span = size + begin + window.padsEnd[i]! - ((window.kernel[i]! - 1) * window.dilations[i]! + 1);
    if (span < 0) scope.fail(`its window of ${window.kernel[i]} does not fit into ${size}`);
    const count = (ceil ? Math.ceil(span / stride) : Math.floor(span / stride)) + 1;
    return ceil && (count - 1) * stride >= size + begin ? count - 1 : count;
  });
}

/** x: [n, c, spatial...], at least one spatial dimension. */
function spatialInput(scope: Scope): Known {
  const x = scope.input(0);
  if (x.dims.length < 3) scope.fail(`its input of shape [${x.dims}] has no spatial dimensions`);
  return x;
}

function pool(scope: Scope): Known {
  const { dtype, dims } = spatialInput(scope);
  const sizes = dims.slice(2);
  const ceil = attrInt(scope.node, 'ceil_mode', 0) === 1;
  return { dtype, dims: [...dims.slice(0, 2), ...slide(scope, sizes, windowOf(scope, sizes.length), ceil)] };
}

const globalPool: Rule = (scope) => {
  const { dtype, dims } = spatialInput(scope);
  return [{ dtype, dims: dims.map((dim, i) => (i < 2 ? dim : 1)) }];
};

export const windowRules: Readonly<Record<string, Rule>> = {
  /** x: [n, c, spatial...]; w: [m, c / group, kernel...]; gives [n, m, spatial...]. */
  Conv(scope) {
    const x = spatialInput(scope);
    const w = scope.input(1);
    const group = attrInt(scope.node, 'group', 1);
    if (w.dims.length !== x.dims.length || x.dims[1] !== w.dims[1]! * group || w.dims[0]! % group !== 0) {
      scope.fail(`input [${x.dims}] and weights [${w.dims}] do not fit with group ${group}`);
    }
    const sizes = x.dims.slice(2);
    const window = windowOf(scope, sizes.length, w.dims.slice(2));
    return [{ dtype: x.dtype, dims: [x.dims[0]!, w.dims[0]!, ...slide(scope, sizes, window, false)] }];
  },
  /** x: [n, c, spatial...]; w: [c, m / group, kernel...]; gives [n, m, spatial...]. */
  ConvTranspose(scope) {
    const x = spatialInput(scope);
    const w = scope.input(1);
    const group = attrInt(scope.node, 'group', 1);
    if (w.dims.length !== x.dims.length || x.dims[1] !== w.dims[0] || group < 1 || w.dims[0]! % group !== 0) {
      scope.fail(`input [${x.dims}] and weights [${w.dims}] do not fit with group ${group}`);
    }
    const sizes = x.dims.slice(2);
    const window = windowOf(scope, sizes.length, w.dims.slice(2));
    const extra = attrInts(
      scope.node,
      'output_padding',
      sizes.map(() => 0),
    );
    const spatial = attrInts(
      scope.node,
      'output_shape',
      sizes.map((size, i) => {
        const stride = window.strides[i]!;
        if (window.autoPad.startsWith('SAME')) return size * stride;
        const span = (window.kernel[i]! - 1) * window.dilations[i]! + 1;
        return stride * (size - 1) + (extra[i] ?? 0) + span - window.padsBegin[i]! - window.padsEnd[i]!;
      }),
    );
    if (spatial.length !== sizes.length)
      scope.fail(`output_shape [${spatial}] has not ${sizes.length} sizes`);
    return [{ dtype: x.dtype, dims: [x.dims[0]!, w.dims[1]! * group, ...spatial] }];
  },
  AveragePool: (scope) => [pool(scope)],
  LpPool: (scope) => [pool(scope)],
  /** The second output holds, for each maximum, its flat index in the input. */
  MaxPool(scope) {
    const y = pool(scope);
    return [y, { dtype: 'int64', dims: y.dims }];
  },
  MaxUnpool(scope) {
    const { dtype, dims } = spatialInput(scope);
    if (scope.optional(2) !== undefined) return [{ dtype, dims: scope.values(2) }];
    const window = windowOf(scope, dims.length - 2);
    const spatial = dims.slice(2).map((size, i) => {
      return (size - 1) * window.strides[i]! + window.kernel[i]! - window.padsBegin[i]! - window.padsEnd[i]!;
    });
    return [{ dtype, dims: [...dims.slice(0, 2), ...spatial] }];
  },
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  /** x: [n, c, ...]. Beside y: running (before opset 14 also batch) mean and variance, [c] each. */
  BatchNormalization(scope) {
    const { dtype, dims } = scope.input(0);
    const channels = dims[1] ?? scope.fail(`its input has the shape [${dims}]`);
    for (let i = 1; i < 5; i++) {
      if (elementCount(scope.input(i).dims) !== channels)
        scope.fail(`input ${i} does not have ${channels} elements`);
    }
    const statistics = { dtype: scope.input(3).dtype, dims: [channels] };
    return [{ dtype, dims }, statistics, statistics, statistics, statistics];
  },
  Resize(scope) {
    const { dtype, dims } = scope.input(0);
    if (attrString(scope.node, 'keep_aspect_ratio_policy', 'stretch') !== 'stretch') {
      scope.fail('only the keep_aspect_ratio_policy "stretch" is supported');
    }
    const axes = attrInts(
      scope.node,
      'axes',
      dims.map((_, i) => i),
    );
    const scalesAt = scope.opset < 11 ? 1 : 2;
    const bySize = (scope.optional(3)?.dims[0] ?? 0) > 0;
    const factors = scope.values(bySize ? 3 : scalesAt);
    if (factors.length !== axes.length)
      scope.fail(`${factors.length} sizes or scales for ${axes.length} axes`);
    const result = [...dims];
    for (const [i, axis] of axes.entries()) {
      const at = axis < 0 ? axis + dims.length : axis;
      const dim = dims[at] ?? scope.fail(`axis ${axis} is outside rank ${dims.length}`);
      result[at] = bySize ? factors[i]! : Math.floor(dim * factors[i]!);
    }
    return [{ dtype, dims: result }];
  },
};
