// Convolution of float32 values with float32 weights, four output pixels and eight output channels at a time; with
// one output pixel it is the dense layer. Windows are gathered so that the same element of four pixels lies side by
// side. Weights: [block of 8 channels][element][8]. Whole numbers below 2^24 are exact in any order; others are
// rounded at every step.
//
// A stem has whole weights and, on pictures, whole pixels. Then products are added in pairs as integers, twice as many
// at a time: i16 values times i16 weights [block of 8 channels][pair of elements][8][2], a pair being neighbours in a
// row of the window, the last filled up with a weight of 0. Whether the values are whole, and not above the limit that
// keeps sums within int32, is found when they are made i16, anew for every sample. Both ways give the same number.
import { ConvReal } from './descriptors';
import { zero } from './tile';

// @ts-ignore: decorator
@inline
function madd(a: v128, b: v128, c: v128): v128 {
  return f32x4.add(f32x4.mul(a, b), c);
}

/**
 * The elements of four windows, each in all lanes of a vector, the same element of the four side by side. Pitches are
 * divided by 2^shift: with 1, elements are pairs of i16.
 */
function gather(d: ConvReal, a: usize, b: usize, c: usize, e: usize, shift: usize): void {
  let to = d.scratch;
  for (let y = 0; y < d.rows; y++) {
    for (let x = 0; x < d.runs; x++) {
      const from = (<usize>y * d.rowPitch + <usize>x * d.runPitch) >> shift;
      const end = from + (d.runBytes >> shift);
      for (let i = from; i < end; i += 4) {
        v128.store(to, v128.load_splat<f32>(a + i));
        v128.store(to, v128.load_splat<f32>(b + i), 16);
        v128.store(to, v128.load_splat<f32>(c + i), 32);
        v128.store(to, v128.load_splat<f32>(e + i), 48);
        to += 64;
      }
    }
  }
}

/** Makes the source i16, if it is whole and within the limit; says whether it is. */
function narrow(d: ConvReal): bool {
  if (!d.whole) return false;
  const most = <f32>d.most;
  let to = d.narrowed;
  const end = d.image + d.imageBytes;
  for (let from = d.image; from < end; from += 4) {
    const x = load<f32>(from);
    if (!(abs(x) <= most)) return false;
    const n = <i32>x;
    if (<f32>n != x) return false;
    store<i16>(to, <i16>n);
    to += 2;
  }
  return true;
}

// @ts-ignore: decorator
@inline
function put(dest: usize, both: bool, low: v128, high: v128): void {
  v128.store(dest, low);
  if (both) v128.store(dest, high, 16);
}

function four(d: ConvReal, p0: usize, p1: usize, p2: usize, p3: usize): void {
  const elements = d.rows * d.runs * <i32>(d.runBytes >> 2);
  let w = d.weights, offset: usize = 0;
  for (let channel = 0; channel < d.channels; channel += 8) {
    const low = v128.load(d.starts + offset), high = v128.load(d.starts + offset, 16);
    let a0 = low, a1 = high, a2 = low, a3 = high, a4 = low, a5 = high, a6 = low, a7 = high;
    let q = d.scratch;
    const end = w + (<usize>elements << 5);
    do {
      const w0 = v128.load(w), w1 = v128.load(w, 16);
      let x = v128.load(q);
      a0 = madd(x, w0, a0);
      a1 = madd(x, w1, a1);
      x = v128.load(q, 16);
      a2 = madd(x, w0, a2);
      a3 = madd(x, w1, a3);
      x = v128.load(q, 32);
      a4 = madd(x, w0, a4);
      a5 = madd(x, w1, a5);
      x = v128.load(q, 48);
      a6 = madd(x, w0, a6);
      a7 = madd(x, w1, a7);
      q += 64;
      w += 32;
    } while (w != end);
    const both = d.channels - channel > 4;
    put(p0 + offset, both, a0, a1);
    put(p1 + offset, both, a2, a3);
    put(p2 + offset, both, a4, a5);
    put(p3 + offset, both, a6, a7);
    offset += 32;
  }
}

// @ts-ignore: decorator
@inline
function pair(a: v128, b: v128, c: v128): v128 {
  return i32x4.add(i32x4.dot_i16x8_s(a, b), c);
}

/** As `four`, of pairs of i16. */
function fourWhole(d: ConvReal, p0: usize, p1: usize, p2: usize, p3: usize): void {
  const pairs = d.rows * <i32>((d.runBytes + 4) >> 3);
  let w = d.whole, offset: usize = 0;
  for (let channel = 0; channel < d.channels; channel += 8) {
    let a0 = zero(), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    let q = d.scratch;
    const end = w + (<usize>pairs << 5);
    do {
      const w0 = v128.load(w), w1 = v128.load(w, 16);
      let x = v128.load(q);
      a0 = pair(x, w0, a0);
      a1 = pair(x, w1, a1);
      x = v128.load(q, 16);
      a2 = pair(x, w0, a2);
      a3 = pair(x, w1, a3);
      x = v128.load(q, 32);
      a4 = pair(x, w0, a4);
      a5 = pair(x, w1, a5);
      x = v128.load(q, 48);
      a6 = pair(x, w0, a6);
      a7 = pair(x, w1, a7);
      q += 64;
      w += 32;
    } while (w != end);
    const both = d.channels - channel > 4;
    put(p0 + offset, both, f32x4.convert_i32x4_s(a0), f32x4.convert_i32x4_s(a1));
    put(p1 + offset, both, f32x4.convert_i32x4_s(a2), f32x4.convert_i32x4_s(a3));
    put(p2 + offset, both, f32x4.convert_i32x4_s(a4), f32x4.convert_i32x4_s(a5));
    put(p3 + offset, both, f32x4.convert_i32x4_s(a6), f32x4.convert_i32x4_s(a7));
    offset += 32;
  }
}

/** One pixel: two sums a channel, of every second element each, so that one addition need not wait for another. */
function one(d: ConvReal): void {
  let w = d.weights, offset: usize = 0;
  for (let channel = 0; channel < d.channels; channel += 8) {
    let a0 = v128.load(d.starts + offset), a1 = v128.load(d.starts + offset, 16);
    let a2 = zero(), a3 = a2;
    for (let y = 0; y < d.rows; y++) {
      for (let x = 0; x < d.runs; x++) {
        let q = d.source + <usize>y * d.rowPitch + <usize>x * d.runPitch;
        const end = q + d.runBytes;
        for (; q + 8 <= end; q += 8) {
          let x = v128.load_splat<f32>(q);
          a0 = madd(x, v128.load(w), a0);
          a1 = madd(x, v128.load(w, 16), a1);
          x = v128.load_splat<f32>(q, 4);
          a2 = madd(x, v128.load(w, 32), a2);
          a3 = madd(x, v128.load(w, 48), a3);
          w += 64;
        }
        if (q < end) {
          const x = v128.load_splat<f32>(q);
          a0 = madd(x, v128.load(w), a0);
          a1 = madd(x, v128.load(w, 16), a1);
          w += 32;
        }
      }
    }
    put(d.dest + offset, d.channels - channel > 4, f32x4.add(a0, a2), f32x4.add(a1, a3));
    offset += 32;
  }
}

export function convReal(d: ConvReal): void {
  const pixels = d.width * d.height;
  if (pixels == 1) {
    one(d);
    return;
  }
  const whole = narrow(d);
  const shift: usize = whole ? 1 : 0;
  const stepX = d.stepX >> shift, stepY = d.stepY >> shift;
  let x = 0;
  let row = whole ? d.narrowed + ((d.source - d.image) >> 1) : d.source, pixel = row;
  let destRow = d.dest, dest = destRow;
  let left = pixels;
  do {
    // The last pixel fills up the last four: it is calculated again and written again, the same.
    let p0: usize = 0, p1: usize = 0, p2: usize = 0, p3: usize = 0;
    let d0: usize = 0, d1: usize = 0, d2: usize = 0, d3: usize = 0;
    for (let i = 0; i < 4; i++) {
      p0 = p1; p1 = p2; p2 = p3; p3 = pixel;
      d0 = d1; d1 = d2; d2 = d3; d3 = dest;
      if (--left > 0) {
        if (++x == d.width) {
          x = 0;
          pixel = row += stepY;
          dest = destRow += d.destRow;
        } else {
          pixel += stepX;
          dest += d.destPixel;
        }
      }
    }
    gather(d, p0, p1, p2, p3, shift);
    if (whole) fourWhole(d, d0, d1, d2, d3);
    else four(d, d0, d1, d2, d3);
  } while (left > 0);
}
