/**
 * What every operation means, as plain loops: the yardstick that faster kernels are compared with. One function
 * per operation, one sample at a time, layout CHW throughout. `LoadedProgram` has been checked, so nothing is
 * checked again here.
 *
 * Why a device can do with bits and thresholds what the graph says in floats:
 *  - A product of a, b in {+1, -1} is +1 where they agree and -1 where not, so a dot product of n terms is
 *    (n - mismatches) - mismatches = n - 2 popcount(a xor b). Every term counts, padding (-1) too.
 *  - A batch norm with its sign is a threshold: rounded multiplication by a positive constant and rounded
 *    addition never reverse an order, so f(x) >= 0 holds for exactly the x from some smallest one on. A negative
 *    scale reverses the order: then f(x) >= 0 holds up to some largest x, which is `flip`.
 *  - For the same reason max(f(a), f(b)) = f(max(a, b)) where the scale is positive, so pooling may come before
 *    or after the threshold; of bits the maximum is OR. With `flip` the order in the program must be the graph's.
 */
import { bitAt } from './bits.ts';
import { sizeOf } from './infer.ts';
import { inputsOf, type LoadedProgram, type Op, type Shape, type ValueInfo, type Window } from './program.ts';

/** Data of one value: real Float32Array, bits Uint8Array with one 0 or 1 per element, sums Int32Array. */
export type ValueData = Float32Array | Uint8Array | Int32Array;

type OpOf<K extends Op['kind']> = Extract<Op, { kind: K }>;

/**
 * Runs one sample and gives every value, by number. `input` is the program's input, CHW, finite; it becomes
 * value 0 as it is. `ops` can leave out operations whose values nobody needs; theirs are then absent.
 */
export function runReference(
  loaded: LoadedProgram,
  input: Float32Array,
  ops: readonly Op[] = loaded.program.ops,
): (ValueData | undefined)[] {
  const values: (ValueData | undefined)[] = [input];
  for (const op of ops)
    values[op.output] = runOp(
      loaded,
      op,
      inputsOf(op).map((number) => values[number]!),
    );
  return values;
}

function runOp(loaded: LoadedProgram, op: Op, inputs: readonly ValueData[]): ValueData {
  const x = inputs[0]!;
  const from = loaded.values[op.input]!;
  const to = loaded.values[op.output]!.shape;
  const data = (ref: string) => loaded.tensors.get(ref)!.data;
  switch (op.kind) {
    case 'convReal':
      return convReal(x as Float32Array, from.shape, to, op.window, data(op.weights) as Float32Array);
    case 'convBinary':
      return convBinary(x as Uint8Array, from.shape, to, op.window, unpacked(data(op.weights) as Uint8Array));
    case 'depthwise':
      return depthwise(x as Uint8Array, from.shape, to, op.window, data(op.weights) as Int8Array);
    case 'maxPool':
      return maxPool(x, from, to, op.window);
    case 'add':
      return add(x as Float32Array, inputs[1] as Float32Array);
    case 'meanPool':
      return meanPool(x as Float32Array, from.shape);
    case 'affine':
      return affine(x, to, op, data(op.scale) as Float32Array, data(op.bias) as Float32Array);
    case 'binarize': {
      const flip = op.flip === undefined ? undefined : (data(op.flip) as Uint8Array);
      return binarize(x, to, data(op.threshold) as Float32Array | Int32Array, flip);
    }
    case 'denseBinary':
      return denseBinary(x as Uint8Array, op.channels, unpacked(data(op.weights) as Uint8Array));
    case 'denseReal':
      return denseReal(x as Float32Array, data(op.weights) as Float32Array, data(op.bias) as Float32Array);
  }
}

/** Bit streams that have been run, one byte a bit: reading single bits would take most of the time. */
const unpackedStreams = new WeakMap<Uint8Array, Uint8Array>();

/** Every bit of a stream, 0 or 1; the unused ones at its end, too. */
function unpacked(stream: Uint8Array): Uint8Array {
  const found = unpackedStreams.get(stream);
  if (found) return found;
  const bits = Uint8Array.from({ length: 8 * stream.length }, (_, i) => bitAt(stream, i));
  unpackedStreams.set(stream, bits);
  return bits;
}

/** Sums in float64 and rounds once: with whole-number pixels and weights that is exact. Padding is 0. */
function convReal(
  x: Float32Array,
  from: Shape,
  to: Shape,
  window: Window,
  weights: Float32Array | Int16Array,
): Float32Array {
  const { kernelH, kernelW, strideH, strideW, padH, padW } = window;
  const y = new Float32Array(sizeOf(to));
  let at = 0;
  for (let k = 0; k < to.c; k++) {
    for (let oy = 0; oy < to.h; oy++) {
      for (let ox = 0; ox < to.w; ox++) {
        let sum = 0;
        for (let c = 0; c < from.c; c++) {
          for (let ky = 0; ky < kernelH; ky++) {
            const iy = oy * strideH - padH + ky;
            if (iy < 0 || iy >= from.h) continue;
            for (let kx = 0; kx < kernelW; kx++) {
              const ix = ox * strideW - padW + kx;
              if (ix < 0 || ix >= from.w) continue;
              const weight = weights[((k * from.c + c) * kernelH + ky) * kernelW + kx]!;
              sum += weight * x[(c * from.h + iy) * from.w + ix]!;
            }
          }
        }
        y[at++] = sum;
      }
    }
  }
  return y;
}

/** sum = n - 2 mismatches; an element in the padding is the bit 0, that is -1. */
function convBinary(x: Uint8Array, from: Shape, to: Shape, window: Window, weights: Uint8Array): Int32Array {
  const { kernelH, kernelW, strideH, strideW, padH, padW } = window;
  const terms = from.c * kernelH * kernelW;
  const area = from.h * from.w;
  const y = new Int32Array(sizeOf(to));
  let at = 0;
  for (let k = 0; k < to.c; k++) {
    for (let oy = 0; oy < to.h; oy++) {
      for (let ox = 0; ox < to.w; ox++) {
        let mismatches = 0;
        for (let ky = 0; ky < kernelH; ky++) {
          const iy = oy * strideH - padH + ky;
          for (let kx = 0; kx < kernelW; kx++) {
            const ix = ox * strideW - padW + kx;
            const inside = iy >= 0 && iy < from.h && ix >= 0 && ix < from.w;
            const pixel = iy * from.w + ix;
            const weight = ((k * kernelH + ky) * kernelW + kx) * from.c;
            for (let c = 0; c < from.c; c++) {
              const bit = inside ? x[c * area + pixel]! : 0;
              mismatches += bit ^ weights[weight + c]!;
            }
          }
        }
        y[at++] = terms - 2 * mismatches;
      }
    }
  }
  return y;
}

/** One filter for each channel; an element in the padding is 0. */
function depthwise(x: Uint8Array, from: Shape, to: Shape, window: Window, weights: Int8Array): Int32Array {
  const { kernelH, kernelW, strideH, strideW, padH, padW } = window;
  const y = new Int32Array(sizeOf(to));
  let at = 0;
  for (let c = 0; c < to.c; c++) {
    for (let oy = 0; oy < to.h; oy++) {
      for (let ox = 0; ox < to.w; ox++) {
        let sum = 0;
        for (let ky = 0; ky < kernelH; ky++) {
          const iy = oy * strideH - padH + ky;
          if (iy < 0 || iy >= from.h) continue;
          for (let kx = 0; kx < kernelW; kx++) {
            const ix = ox * strideW - padW + kx;
            if (ix < 0 || ix >= from.w) continue;
            const weight = weights[(c * kernelH + ky) * kernelW + kx]!;
            sum += x[(c * from.h + iy) * from.w + ix] ? weight : -weight;
          }
        }
        y[at++] = sum;
      }
    }
  }
  return y;
}

/** Largest element of each window, of any kind of value; padding takes no part. */
function maxPool(x: ValueData, { kind, shape: from }: ValueInfo, to: Shape, window: Window): ValueData {
  const { kernelH, kernelW, strideH, strideW, padH, padW } = window;
  const y = newValue(kind, sizeOf(to));
  let at = 0;
  for (let c = 0; c < to.c; c++) {
    for (let oy = 0; oy < to.h; oy++) {
      for (let ox = 0; ox < to.w; ox++) {
        let best = -Infinity;
        for (let ky = 0; ky < kernelH; ky++) {
          const iy = oy * strideH - padH + ky;
          if (iy < 0 || iy >= from.h) continue;
          for (let kx = 0; kx < kernelW; kx++) {
            const ix = ox * strideW - padW + kx;
            if (ix < 0 || ix >= from.w) continue;
            best = Math.max(best, x[(c * from.h + iy) * from.w + ix]!);
          }
        }
        y[at++] = best;
      }
    }
  }
  return y;
}

function newValue(kind: ValueInfo['kind'], size: number): ValueData {
  if (kind === 'bits') return new Uint8Array(size);
  return kind === 'sums' ? new Int32Array(size) : new Float32Array(size);
}

/** The running sum of a residual branch, one float32 addition an element. */
function add(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value + b[i]!);
}

/** Sums in float64 in row-major order, divides and rounds once. */
function meanPool(x: Float32Array, { c, h, w }: Shape): Float32Array {
  const y = new Float32Array(c);
  for (let channel = 0; channel < c; channel++) {
    let sum = 0;
    for (let i = 0; i < h * w; i++) sum += x[channel * h * w + i]!;
    y[channel] = sum / (h * w);
  }
  return y;
}

/** A float32 multiplication, then a float32 addition: the rounding in between is part of the contract. */
function affine(
  x: ValueData,
  { c, h, w }: Shape,
  { relu }: OpOf<'affine'>,
  scale: Float32Array,
  bias: Float32Array,
): Float32Array {
  const area = h * w;
  const y = new Float32Array(c * area);
  for (let i = 0; i < y.length; i++) {
    const channel = Math.floor(i / area);
    const value = Math.fround(Math.fround(x[i]! * scale[channel]!) + bias[channel]!);
    y[i] = relu ? Math.max(value, 0) : value;
  }
  return y;
}

function binarize(
  x: ValueData,
  { c, h, w }: Shape,
  threshold: Float32Array | Int32Array,
  flip: Uint8Array | undefined,
): Uint8Array {
  const area = h * w;
  const y = new Uint8Array(c * area);
  for (let i = 0; i < y.length; i++) {
    const channel = Math.floor(i / area);
    const limit = threshold[channel]!;
    y[i] = Number(flip?.[channel] ? x[i]! <= limit : x[i]! >= limit);
  }
  return y;
}

function denseBinary(x: Uint8Array, channels: number, weights: Uint8Array): Int32Array {
  const y = new Int32Array(channels);
  for (let n = 0; n < channels; n++) {
    let mismatches = 0;
    for (let i = 0; i < x.length; i++) mismatches += x[i]! ^ weights[n * x.length + i]!;
    y[n] = x.length - 2 * mismatches;
  }
  return y;
}

/** Sums in float64, adds the bias and rounds to float32 once. Other implementations may differ by rounding. */
function denseReal(x: Float32Array, weights: Float32Array, bias: Float32Array): Float32Array {
  const y = new Float32Array(bias.length);
  for (let n = 0; n < y.length; n++) {
    let sum = bias[n]!;
    for (let i = 0; i < x.length; i++) sum += weights[n * x.length + i]! * x[i]!;
    y[n] = sum;
  }
  return y;
}
