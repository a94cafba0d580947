import { type Tensor, TierwiseError } from '@tierwise/core';

/** Bits that a packed element can have. */
export const packedBits = [1, 2, 3, 4, 5, 6, 8] as const;
/** Bits a value that a tensor can be packed to. */
export type PackedBits = (typeof packedBits)[number];

/** The interval that 2^bits codes share evenly; `lo` < `hi` in the tensor's own units, each rounded to float32. */
export interface QuantizeRange {
  readonly bits: PackedBits;
  readonly lo: number;
  readonly hi: number;
}

/**
 * Why `range` cannot be used, or undefined when it can: both ends and their distance must be finite float32
 * numbers, and neither the step nor its inverse may overflow or vanish.
 */
export function rangeFault({ bits, lo, hi }: QuantizeRange): string | undefined {
  if (!packedBits.includes(bits)) return `${bits} bits are not one of ${packedBits.join(', ')}`;
  const span = Math.fround(Math.fround(hi) - Math.fround(lo));
  const levels = 2 ** bits - 1;
  const usable = (value: number) => value > 0 && Number.isFinite(value);
  if (usable(span) && usable(Math.fround(levels / span)) && usable(Math.fround(span / levels)))
    return undefined;
  return `the range from ${lo} to ${hi} has no float32 step`;
}

/**
 * Codes 0..2^bits-1 of `values`; what lies outside the range, infinities too, gets the nearest end.
 *
 * The rounding rule, with every operation rounded to float32 (so that a WebAssembly encoder agrees bit for bit):
 *   scale = (2^bits - 1) / (hi - lo)          two operations, once
 *   q     = floor((x - lo) * scale + 0.5)     three operations and an exact floor, never fused
 *   q     = min(max(q, 0), 2^bits - 1)
 * JavaScript rounds each to float64 first; for one +, -, * or / of float32 numbers this changes nothing.
 * Source: DynO (arXiv 2104.09949) for quantising a cut; the rule itself is ours.
 * @throws TierwiseError TENSOR_INVALID on a NaN. `range` must have no fault.
 */
export function quantize(values: Float32Array, range: QuantizeRange): Uint8Array<ArrayBuffer> {
  const lo = Math.fround(range.lo);
  const levels = 2 ** range.bits - 1;
  const scale = Math.fround(levels / Math.fround(Math.fround(range.hi) - lo));
  const codes = new Uint8Array(values.length);
  for (let i = 0; i < codes.length; i++) {
    const x = values[i]!;
    const shifted = Math.fround(Math.fround(Math.fround(x - lo) * scale) + 0.5);
    if (shifted >= levels) codes[i] = levels;
    else if (shifted >= 1) codes[i] = shifted;
    else if (Number.isNaN(x)) {
      throw new TierwiseError('TENSOR_INVALID', `element ${i} of the tensor to be packed is not a number`, {
        element: i,
      });
    }
  }
  return codes;
}

/** The value of each code, every operation rounded to float32: lo + q * ((hi - lo) / (2^bits - 1)). */
export function dequantize(codes: Uint8Array, range: QuantizeRange): Tensor<'float32'>['data'] {
  const lo = Math.fround(range.lo);
  const step = Math.fround(Math.fround(Math.fround(range.hi) - lo) / (2 ** range.bits - 1));
  const levelValues = new Float32Array(2 ** range.bits);
  for (let q = 0; q < levelValues.length; q++) levelValues[q] = lo + Math.fround(q * step);
  const values = new Float32Array(codes.length);
  for (let i = 0; i < values.length; i++) values[i] = levelValues[codes[i]!]!;
  return values;
}
