/**
 * IEEE 754 binary16 as bit patterns, as the dtype `float16` holds them. Rounding is to nearest, ties to even, as
 * onnxruntime and numpy do; what is 65520 or more in size becomes infinite; a NaN stays a (quiet) NaN.
 */

const float32 = new Float32Array(1);
const bits32 = new Uint32Array(float32.buffer);

/** The float16 bit pattern nearest to `value`, which is rounded to float32 first. */
export function float16Bits(value: number): number {
  float32[0] = value;
  const bits = bits32[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const size = bits & 0x7fffffff;
  if (size > 0x7f800000) return sign | 0x7e00;
  if (size >= 0x477ff000) return sign | 0x7c00;
  if (size < 0x38800000) {
    // Below 2^-14 a float16 counts in steps of 2^-24. 1024 steps are the pattern of the smallest normal number.
    const steps = Math.abs(float32[0]) * 16777216;
    const below = Math.floor(steps);
    const rest = steps - below;
    return sign | (rest > 0.5 || (rest === 0.5 && (below & 1) === 1) ? below + 1 : below);
  }
  // Move the exponent's bias from 127 to 15 and drop 13 fraction bits; a carry out of the fraction is right as it is.
  const rebiased = size - 0x38000000;
  return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
}

/** Size of the last fraction bit, by exponent field. */
const steps = Float64Array.from({ length: 31 }, (_, exponent) => 2 ** (Math.max(exponent, 1) - 25));

/** The value of a float16 bit pattern, exactly. */
export function float16Value(bits: number): number {
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  const negative = (bits & 0x8000) !== 0;
  if (exponent === 0x1f) return fraction !== 0 ? NaN : negative ? -Infinity : Infinity;
  const size = (exponent === 0 ? fraction : 1024 + fraction) * steps[exponent]!;
  return negative ? -size : size;
}

/** float16 bit patterns of float32 values. */
export function toFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(values, float16Bits);
}

/** float32 values of float16 bit patterns. A plain loop: a page runs this once, before anything is compiled. */
export function fromFloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = float16Value(bits[i]!);
  return values;
}
