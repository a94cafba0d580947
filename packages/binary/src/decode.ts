import { type DType, fromFloat16, type Tensor, tensor } from '@tierwise/core';
import { bitBytes } from './bits.ts';
import { type Fail, sizeOf } from './infer.ts';
import type { Op, Program, TensorRef, ValueInfo } from './program.ts';

/** What a tensor is for. It decides what a file may hold and what kernels get. */
type Role = 'stem' | 'bits' | 'sumThreshold' | 'realThreshold' | 'flip' | 'real' | 'rows' | 'step';

const storedAs: Readonly<Record<Role, readonly DType[]>> = {
  stem: ['int16', 'float16', 'float32'],
  bits: ['uint8'],
  sumThreshold: ['int16', 'int32'],
  realThreshold: ['float32'],
  flip: ['uint8'],
  real: ['float16', 'float32'],
  rows: ['int8'],
  step: ['float16'],
};

interface Need {
  readonly name: TensorRef;
  readonly role: Role;
  readonly dims: readonly number[];
  /** Number of weights in a bit stream. */
  readonly bits?: number;
}

const need = (name: TensorRef, role: Role, ...dims: readonly number[]): Need => ({ name, role, dims });

/** The tensors that an operation reads, with the shapes that they must have. */
function needs(op: Op, { kind, shape }: ValueInfo): Need[] {
  const { c } = shape;
  const stream = (name: TensorRef, bits: number): Need => ({ ...need(name, 'bits', bitBytes(bits)), bits });
  switch (op.kind) {
    case 'maxPool':
    case 'meanPool':
    case 'add':
      return [];
    case 'convReal':
      return [need(op.weights, 'stem', op.channels, c, op.window.kernelH, op.window.kernelW)];
    case 'convBinary':
      return [stream(op.weights, op.channels * op.window.kernelH * op.window.kernelW * c)];
    case 'depthwise':
      return [need(op.weights, 'rows', c, op.window.kernelH, op.window.kernelW)];
    case 'denseBinary':
      return [stream(op.weights, op.channels * sizeOf(shape))];
    case 'denseReal':
      return [
        need(op.weights, op.step === undefined ? 'real' : 'rows', op.channels, sizeOf(shape)),
        ...(op.step === undefined ? [] : [need(op.step, 'step', op.channels)]),
        need(op.bias, 'real', op.channels),
      ];
    case 'affine':
      return [need(op.scale, 'real', c), need(op.bias, 'real', c)];
    case 'binarize':
      return [
        need(op.threshold, kind === 'sums' ? 'sumThreshold' : 'realThreshold', c),
        ...(op.flip === undefined ? [] : [need(op.flip, 'flip', c)]),
      ];
  }
}

/**
 * The tensors of a file as kernels take them: float16 and int8 rows become float32, int16 thresholds become int32, all else
 * is shared with `stored`. Every tensor is read by exactly one operation and has the type, shape and range that
 * it needs.
 * @throws what `fail` makes, naming the tensor
 */
export function decodeTensors(
  program: Program,
  values: readonly ValueInfo[],
  stored: ReadonlyMap<TensorRef, Tensor>,
  fail: Fail,
): Map<TensorRef, Tensor> {
  const decoded = new Map<TensorRef, Tensor>();
  for (const op of program.ops) {
    for (const need of needs(op, values[op.input]!)) {
      const found = stored.get(need.name);
      if (!found) throw fail(`tensor "${need.name}" is missing`);
      if (decoded.has(need.name)) throw fail(`tensor "${need.name}" is used twice`);
      decoded.set(need.name, decode(found, need, fail));
    }
  }
  for (const op of program.ops) {
    if (op.kind !== 'denseReal' || op.step === undefined) continue;
    decoded.set(op.weights, scaleRows(decoded.get(op.weights)!, decoded.get(op.step)!));
  }
  for (const name of stored.keys()) if (!decoded.has(name)) throw fail(`tensor "${name}" is not used`);
  return decoded;
}

function decode(found: Tensor, need: Need, fail: Fail): Tensor {
  const { name, role, dims, bits } = need;
  const sameDims = found.dims.length === dims.length && found.dims.every((dim, axis) => dim === dims[axis]);
  if (!storedAs[role].includes(found.dtype) || !sameDims) {
    throw fail(
      `tensor "${name}" is ${found.dtype} [${found.dims}] and must be ${storedAs[role].join(' or ')} [${dims}]`,
    );
  }
  const held = widen(found, role);
  const { data } = held;
  if (data instanceof Float32Array) {
    // An infinite threshold is a bit that never changes; anything else must be a number one can calculate with.
    for (let i = 0; i < data.length; i++) {
      const x = data[i]!;
      const bad = role === 'realThreshold' ? Number.isNaN(x) : !Number.isFinite(x);
      if (bad) throw fail(`tensor "${name}" holds a value that is not finite`);
    }
  }
  if (role === 'flip' && !(data as Uint8Array).every((x) => x <= 1)) {
    throw fail(`tensor "${name}" holds a flag other than 0 and 1`);
  }
  if (bits !== undefined && bits % 8 !== 0 && (data as Uint8Array).at(-1)! >> (bits % 8) !== 0) {
    throw fail(`tensor "${name}" has bits set after its last weight`);
  }
  return held;
}

/** int8 rows times a step each; 7 times 11 significant bits are exact in float32. */
function scaleRows({ dims, data }: Tensor, { data: steps }: Tensor): Tensor {
  const length = data.length / steps.length;
  const rows = new Float32Array(data.length);
  for (let i = 0; i < rows.length; i++) rows[i] = Number(data[i]) * Number(steps[Math.floor(i / length)]);
  return tensor('float32', dims, rows);
}

function widen(found: Tensor, role: Role): Tensor {
  if (found.dtype === 'float16') {
    return tensor('float32', found.dims, fromFloat16(found.data as Uint16Array));
  }
  if (role === 'sumThreshold' && found.dtype === 'int16') {
    return tensor('int32', found.dims, Int32Array.from(found.data as Int16Array));
  }
  return found;
}
