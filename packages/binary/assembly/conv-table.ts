// Binary convolution of two output pixels and 64 (or 32) output channels at a time, by table look-up.
//
// The count of mismatches of four activation bits a and four weight bits w is popcount(a ^ w), one of 16 numbers for
// a given a: a table of 16 bytes that one swizzle reads for 16 output channels, whose weights are the indices. Two
// pixels share the swizzle: with activations a and b the table holds popcount(a ^ w) + 16 popcount(b ^ w). Each
// number is at most 4, so three looks-up add up to at most 12 in each half byte and never carry; then the halves
// are split. That is nine vector operations for 3 x 4 terms of 2 pixels and 16 channels, where
// xor + popcount + add takes nine on ARM and twenty-four on x86, which has no byte popcount.
//
// Splitting: with S the sum of three looks-up, the low halves go to byte counters A += S & 15. The high halves go to
// i16 counters Z += S >> 4, a shift of whole words, which is cheaper than one of bytes but lets the low half of each
// odd byte slip into its even neighbour: Z = B_even + 256 B_odd + 16 A_odd (mod 2^16). At the end of a chunk A_odd is
// known, so B = Z - 16 A_odd as words. Both hold at most 12 a step, and 21 steps make 252 <= 255.
//
// i16 accumulators run from -limit to terms - limit, both within 2^15 as terms <= 32767; longer sums are added up part
// by part, and the planner asks for no bits of them. Weights: [block][step][half][channel of block], one half byte each in its own byte; blocks of 64 channels,
// the last of 32 where no more remain. A step is half a byte of activations; steps are filled up to a multiple of
// three with weights and activations 0, which never differ.
import { ConvBinary } from './descriptors';
import { accumulators, finish, lowNibbles, mostTerms, pairTable, start, widen, zero } from './tile';

// @ts-ignore: decorator
@inline
function look(table: v128, weights: v128): v128 {
  // Indices are 0..15, where both agree. V8 on x86 spares the relaxed one a clamp.
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, weights);
  return i8x16.swizzle(table, weights);
}

/**
 * For two windows: which table to take, as its distance from the first, u16 for every half byte of activations,
 * low half first. Reads up to 15 bytes past the end of a row and writes what it makes of them, too; the next row
 * overwrites it.
 */
function gather(d: ConvBinary, a: usize, b: usize): void {
  const low = v128.load(lowNibbles);
  let to = d.scratch;
  for (let row = d.rows; row > 0; row--) {
    let q = to;
    for (let i: usize = 0; i < d.rowBytes; i += 16) {
      const x = v128.load(a + i);
      const y = v128.load(b + i);
      const l = v128.bitselect(x, i16x8.shl(y, 4), low);
      const h = v128.bitselect(i16x8.shr_u(x, 4), y, low);
      const first = i8x16.shuffle(l, h, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const second = i8x16.shuffle(l, h, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      v128.store(q, i16x8.shl(i16x8.extend_low_i8x16_u(first), 4));
      v128.store(q, i16x8.shl(i16x8.extend_high_i8x16_u(first), 4), 16);
      v128.store(q, i16x8.shl(i16x8.extend_low_i8x16_u(second), 4), 32);
      v128.store(q, i16x8.shl(i16x8.extend_high_i8x16_u(second), 4), 48);
      q += 64;
    }
    to += d.rowBytes << 2;
    a += d.rowPitch;
    b += d.rowPitch;
  }
  store<u32>(to, 0);
}

// @ts-ignore: decorator
@inline
function split(at: usize, a: v128, z: v128): void {
  widen(at, a);
  widen(at + 128, i16x8.sub(z, i16x8.shl(i16x8.shr_u(a, 8), 4)));
}

/** All steps of 64 channels. Gives the address after their weights. */
function block64(q: usize, w: usize, triples: i32, chunk: i32): usize {
  for (let left = triples; left > 0; left -= chunk) {
    const end = w + <usize>min(chunk, left) * 192;
    let a0 = zero(), a1 = a0, a2 = a0, a3 = a0, z0 = a0, z1 = a0, z2 = a0, z3 = a0;
    do {
      const low = v128.load(lowNibbles);
      const t = v128.load(<usize>load<u16>(q), pairTable);
      const u = v128.load(<usize>load<u16>(q, 2), pairTable);
      const v = v128.load(<usize>load<u16>(q, 4), pairTable);
      let s = i8x16.add(
        i8x16.add(look(t, v128.load(w)), look(u, v128.load(w, 64))),
        look(v, v128.load(w, 128)),
      );
      a0 = i8x16.add(a0, v128.and(s, low));
      z0 = i16x8.add(z0, i16x8.shr_u(s, 4));
      s = i8x16.add(
        i8x16.add(look(t, v128.load(w, 16)), look(u, v128.load(w, 80))),
        look(v, v128.load(w, 144)),
      );
      a1 = i8x16.add(a1, v128.and(s, low));
      z1 = i16x8.add(z1, i16x8.shr_u(s, 4));
      s = i8x16.add(
        i8x16.add(look(t, v128.load(w, 32)), look(u, v128.load(w, 96))),
        look(v, v128.load(w, 160)),
      );
      a2 = i8x16.add(a2, v128.and(s, low));
      z2 = i16x8.add(z2, i16x8.shr_u(s, 4));
      s = i8x16.add(
        i8x16.add(look(t, v128.load(w, 48)), look(u, v128.load(w, 112))),
        look(v, v128.load(w, 176)),
      );
      a3 = i8x16.add(a3, v128.and(s, low));
      z3 = i16x8.add(z3, i16x8.shr_u(s, 4));
      q += 6;
      w += 192;
    } while (w != end);
    split(accumulators, a0, z0);
    split(accumulators + 32, a1, z1);
    split(accumulators + 64, a2, z2);
    split(accumulators + 96, a3, z3);
  }
  return w;
}

/** The same for 32 channels. */
function block32(q: usize, w: usize, triples: i32, chunk: i32): usize {
  for (let left = triples; left > 0; left -= chunk) {
    const end = w + <usize>min(chunk, left) * 96;
    let a0 = zero(), a1 = a0, z0 = a0, z1 = a0;
    do {
      const low = v128.load(lowNibbles);
      const t = v128.load(<usize>load<u16>(q), pairTable);
      const u = v128.load(<usize>load<u16>(q, 2), pairTable);
      const v = v128.load(<usize>load<u16>(q, 4), pairTable);
      let s = i8x16.add(
        i8x16.add(look(t, v128.load(w)), look(u, v128.load(w, 32))),
        look(v, v128.load(w, 64)),
      );
      a0 = i8x16.add(a0, v128.and(s, low));
      z0 = i16x8.add(z0, i16x8.shr_u(s, 4));
      s = i8x16.add(
        i8x16.add(look(t, v128.load(w, 16)), look(u, v128.load(w, 48))),
        look(v, v128.load(w, 80)),
      );
      a1 = i8x16.add(a1, v128.and(s, low));
      z1 = i16x8.add(z1, i16x8.shr_u(s, 4));
      q += 6;
      w += 96;
    } while (w != end);
    split(accumulators, a0, z0);
    split(accumulators + 32, a1, z1);
  }
  return w;
}

export function convTable(d: ConvBinary): void {
  const triples = <i32>((<usize>d.rows * d.rowBytes * 2 + 2) / 3);
  const chunks = (triples + 20) / 21;
  const chunk = (triples + chunks - 1) / chunks;
  // Twelve terms a triple. What counts more than i16 holds is a sum, and written part by part.
  const most = d.terms > mostTerms ? mostTerms / 12 : triples;
  let x = 0;
  let row = d.source, pixel = row;
  let destRow = d.dest, dest = destRow;
  let left = d.width * d.height;
  do {
    const first = pixel, firstDest = dest;
    let second = first, secondDest: usize = 0;
    // Once for the first pixel and once for the second, if there is one.
    for (let i = 0; i < 2 && left > 0; i++) {
      second = pixel;
      secondDest = i ? dest : 0;
      left--;
      if (++x == d.width) {
        x = 0;
        pixel = row += d.stepY;
        dest = destRow += d.destRow;
      } else {
        pixel += d.stepX;
        dest += d.destPixel;
      }
    }
    gather(d, first, second);
    let weights = d.weights;
    for (let channel = 0; channel < d.channels; channel += 64) {
      const starts = d.starts + (<usize>channel << 1);
      let q = d.scratch;
      let terms = d.terms;
      for (let todo = triples; todo > 0; todo -= most) {
        const part = min(todo, most);
        start(accumulators, starts);
        start(accumulators + 128, starts);
        if (d.channels - channel > 32) weights = block64(q, weights, part, chunk);
        else weights = block32(q, weights, part, chunk);
        finish(d, accumulators, channel, firstDest, terms);
        if (secondDest) finish(d, accumulators + 128, channel, secondDest, terms);
        q += <usize>most * 6;
        terms = 0;
      }
    }
  } while (left > 0);
}
