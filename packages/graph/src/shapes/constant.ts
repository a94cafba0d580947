import { elementCount, type Tensor, TierwiseError } from '@tierwise/core';
import type { TensorProto } from 'onnx-buf';
import { attrFloat, attrFloats, attrInt, attrInts, attrTensor, attrTensorProto } from '../attributes.ts';
import { nodeLabel } from '../check.ts';
import { isShape } from '../dims.ts';
import { dtypeOf, fromTensorProto } from '../tensors.ts';
import { type Known, maxKnownElements, normalizeAxis, type Rule } from './scope.ts';

/** A stored tensor with its elements when they are few; larger ones are not decoded. */
export function knownProto(proto: TensorProto, label = `tensor "${proto.name}"`): Known {
  const dims = proto.dims.map(Number);
  if (elementCount(dims) > maxKnownElements) return { dtype: dtypeOf(proto.dataType, label), dims };
  return knownTensor(fromTensorProto(proto, label));
}

function knownTensor({ dtype, dims, data }: Tensor): Known {
  // float16 is held as bits, and no shape is computed from it.
  if (data.length > maxKnownElements || dtype === 'float16') return { dtype, dims };
  return { dtype, dims, values: Array.from(data as ArrayLike<number | bigint>, Number) };
}

export const constantRules: Readonly<Record<string, Rule>> = {
  Constant({ node }) {
    const value = attrTensorProto(node, 'value');
    if (value !== undefined) return [knownProto(value, `value of ${nodeLabel(node)}`)];
    const int = attrInt(node, 'value_int');
    if (int !== undefined) return [{ dtype: 'int64', dims: [], values: [int] }];
    const ints = attrInts(node, 'value_ints');
    if (ints !== undefined) return [{ dtype: 'int64', dims: [ints.length], values: ints }];
    const float = attrFloat(node, 'value_float');
    if (float !== undefined) return [{ dtype: 'float32', dims: [], values: [float] }];
    const floats = attrFloats(node, 'value_floats');
    if (floats !== undefined) return [{ dtype: 'float32', dims: [floats.length], values: floats }];
    throw new TierwiseError('MODEL_UNSUPPORTED', `${nodeLabel(node)} holds neither a tensor nor numbers`, {
      node: node.name,
    });
  },
  ConstantOfShape(scope) {
    const dims = scope.values(0);
    const fill = attrTensor(scope.node, 'value');
    const { dtype, values } = fill ? knownTensor(fill) : { dtype: 'float32' as const, values: [0] };
    const count = elementCount(dims);
    const follow = values?.length === 1 && isShape(dims) && count <= maxKnownElements;
    return [{ dtype, dims, ...(follow && { values: new Array<number>(count).fill(values[0]!) }) }];
  },
  Shape(scope) {
    const { dims } = scope.input(0);
    const values = dims.slice(attrInt(scope.node, 'start', 0), attrInt(scope.node, 'end', dims.length));
    return [{ dtype: 'int64', dims: [values.length], values }];
  },
  Size: (scope) => [{ dtype: 'int64', dims: [], values: [elementCount(scope.input(0).dims)] }],
  Range(scope) {
    const [start, limit, delta] = [scope.values(0)[0]!, scope.values(1)[0]!, scope.values(2)[0]!];
    if (delta === 0) scope.fail('it steps by 0');
    const count = Math.max(0, Math.ceil((limit - start) / delta));
    const follow = count <= maxKnownElements;
    const values = follow ? Array.from({ length: count }, (_, i) => start + i * delta) : undefined;
    return [{ dtype: scope.input(0).dtype, dims: [count], ...(values && { values }) }];
  },
  /** Adds a dimension of size depth at `axis` (of the result) to the indices. */
  OneHot(scope) {
    const { dims } = scope.input(0);
    const axis = normalizeAxis(scope, attrInt(scope.node, 'axis', -1), dims.length + 1);
    return [{ dtype: scope.input(2).dtype, dims: dims.toSpliced(axis, 0, scope.values(1)[0]!) }];
  },
};
