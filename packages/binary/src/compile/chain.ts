/**
 * A chain of float32 steps between two operations, one function of one number for each channel. Every step is a
 * multiplication by a constant, an addition of one, or max(x, 0), each rounded to float32; all of them keep or
 * reverse the order of numbers, never mix it. So does the whole chain, and that is what makes its sign a
 * threshold: the search below finds it by evaluating the chain itself, so no rounding is argued away.
 */
export type Step =
  | { readonly kind: 'mul'; readonly values: Float32Array }
  | { readonly kind: 'add'; readonly values: Float32Array }
  | { readonly kind: 'relu' };

/** The chain's value at `x` for one channel, as onnxruntime computes it node by node. */
export function evaluate(steps: readonly Step[], channel: number, x: number): number {
  let y = x;
  for (const step of steps) {
    if (step.kind === 'relu') y = Math.max(y, 0);
    else y = Math.fround(step.kind === 'mul' ? y * step.values[channel]! : y + step.values[channel]!);
  }
  return y;
}

/** 1 when the chain never falls as x grows, -1 when it never rises, 0 when it is constant by a factor of 0. */
export function direction(steps: readonly Step[], channel: number): number {
  return steps.reduce(
    (sign, step) => (step.kind === 'mul' ? sign * Math.sign(step.values[channel]!) : sign),
    1,
  );
}

export interface Thresholds {
  readonly values: Float64Array;
  /** 1 where the bit is x <= threshold; absent when it is x >= threshold everywhere. */
  readonly flip?: Uint8Array;
}

/** Thresholds for sums in [-terms, terms]: chain(s) >= 0 as a comparison of s. O(channels log terms). */
export function sumThresholds(steps: readonly Step[], channels: number, terms: number): Thresholds {
  return search(steps, channels, { lo: -terms, hi: terms, numberAt: (s) => s });
}

/**
 * Thresholds for float32 values: chain(x) >= 0 as a comparison of x. Exact for every finite x that the chain gives
 * a number for; there is none where it overflows and then multiplies by 0.
 */
export function realThresholds(steps: readonly Step[], channels: number): Thresholds {
  return search(steps, channels, { lo: -0x7f800000, hi: 0x7f7fffff, numberAt: floatAt });
}

/** Whole numbers lo..hi that stand, in their order, for the numbers a chain can meet. */
interface Domain {
  readonly lo: number;
  readonly hi: number;
  numberAt(index: number): number;
}

function search(steps: readonly Step[], channels: number, { lo, hi, numberAt }: Domain): Thresholds {
  const values = new Float64Array(channels);
  const flip = new Uint8Array(channels);
  for (let channel = 0; channel < channels; channel++) {
    const isSet = (index: number) => evaluate(steps, channel, numberAt(index)) >= 0;
    const sign = direction(steps, channel);
    // A constant chain may overflow on the way at the ends, so it is looked at in the middle.
    if (sign === 0) values[channel] = numberAt(isSet(0) ? lo : hi + 1);
    else if (sign > 0) values[channel] = numberAt(first(lo, hi, isSet));
    else {
      flip[channel] = 1;
      values[channel] = numberAt(first(lo, hi, (index) => !isSet(index)) - 1);
    }
  }
  return flip.includes(1) ? { values, flip } : { values };
}

/** The smallest index in lo..hi at which `holds`, which once true stays true; hi + 1 when there is none. */
function first(lo: number, hi: number, holds: (index: number) => boolean): number {
  let from = lo;
  let to = hi + 1;
  while (from < to) {
    const middle = Math.floor((from + to) / 2);
    if (holds(middle)) to = middle;
    else from = middle + 1;
  }
  return from;
}

const float32 = new Float32Array(1);
const bits32 = new Uint32Array(float32.buffer);

/**
 * Float32 number `index` in order: 0 is +0, -1 is -0 (given as 0), 0x7f7fffff the largest finite number; one
 * beyond the finite numbers at either end is infinite.
 */
function floatAt(index: number): number {
  bits32[0] = index >= 0 ? index : 0x80000000 + (-1 - index);
  return float32[0]! + 0;
}
