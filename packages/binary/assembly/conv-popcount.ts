// Binary convolution or dense layer, one output pixel and 16 output channels at a time: for a single pixel there is no
// partner to share a table with (conv-table.ts), and its weights are read once, so their bytes count.
//
// x = activations ^ weights has a bit for every mismatch. Counting them byte by byte takes ten instructions on x86,
// which has no byte popcount, so they are first added up eight at a time by full adders on whole vectors, bit position
// by bit position: three bits of the same weight give a sum bit and a carry of twice the weight,
//     sum = a ^ b ^ c,   carry = (a & b) | (c & (a ^ b)), which is c where a and b differ, else a.
// `ones`, `twos` and `fours` are what remains below eight at each of the 128 positions; of eights one vector comes out
// for eight vectors that go in, and only that one is counted. mismatches = 8 eights + 4 fours + 2 twos + ones.
// Of a pair of bytes only a and a ^ b are needed. So the second byte of each pair is kept as its difference from the
// first, in weights and activations alike, and the xor of the two differences is a ^ b at once.
//
// Weights: [block of 16 channels][byte of activations][channel of block], bytes filled up with zeros to eights, every
// second one xored with the one before. Byte counters of eights hold 31 counts of at most 8; what remains in the end
// is at most 8 + 16 + 32 a byte. The i16 accumulators have the range of conv-table.ts.
//
// Source: Mula, Kurz, Lemire, "Faster population counts using AVX2 instructions", 2018, after Harley and Seal.
import { ConvBinary } from './descriptors';
import { accumulators, finish, mostTerms, start, widen, zero } from './tile';

/** The bits that two of three have. `differ` is a ^ b. */
// @ts-ignore: decorator
@inline
function carry(a: v128, c: v128, differ: v128): v128 {
  return v128.bitselect(c, a, differ);
}

/** Adds the mismatches of 16 channels over `eights` times eight bytes. */
function block(q: usize, w: usize, eights: i32, at: usize): void {
  const chunks = (eights + 30) / 31;
  const chunk = (eights + chunks - 1) / chunks;
  let ones = zero(), twos = ones, fours = ones;
  while (eights > 0) {
    let count = zero();
    const end = w + (<usize>min(chunk, eights) << 7);
    eights -= chunk;
    do {
      let a = v128.xor(v128.load(q), v128.load(w));
      let u = v128.xor(v128.load(q, 16), v128.load(w, 16));
      const twoA = carry(a, ones, u);
      ones = v128.xor(u, ones);

      a = v128.xor(v128.load(q, 32), v128.load(w, 32));
      u = v128.xor(v128.load(q, 48), v128.load(w, 48));
      const twoB = carry(a, ones, u);
      ones = v128.xor(u, ones);

      u = v128.xor(twoA, twoB);
      const fourA = carry(twoA, twos, u);
      twos = v128.xor(u, twos);

      a = v128.xor(v128.load(q, 64), v128.load(w, 64));
      u = v128.xor(v128.load(q, 80), v128.load(w, 80));
      const twoC = carry(a, ones, u);
      ones = v128.xor(u, ones);

      a = v128.xor(v128.load(q, 96), v128.load(w, 96));
      u = v128.xor(v128.load(q, 112), v128.load(w, 112));
      const twoD = carry(a, ones, u);
      ones = v128.xor(u, ones);

      u = v128.xor(twoC, twoD);
      const fourB = carry(twoC, twos, u);
      twos = v128.xor(u, twos);

      u = v128.xor(fourA, fourB);
      count = i8x16.add(count, i8x16.popcnt(carry(fourA, fours, u)));
      fours = v128.xor(u, fours);
      q += 128;
      w += 128;
    } while (w != end);
    v128.store(at, i16x8.add(v128.load(at), i16x8.shl(i16x8.extend_low_i8x16_u(count), 3)));
    v128.store(at, i16x8.add(v128.load(at, 16), i16x8.shl(i16x8.extend_high_i8x16_u(count), 3)), 16);
  }
  const two = i8x16.popcnt(twos), four = i8x16.popcnt(fours);
  const below = i8x16.add(two, i8x16.add(four, four));
  widen(at, i8x16.add(i8x16.popcnt(ones), i8x16.add(below, below)));
}

export function convPopcount(d: ConvBinary): void {
  const eights = (d.rows * <i32>d.rowBytes + 7) >> 3;
  // Sixty-four products in eight bytes. What counts more than i16 holds is a sum, and written part by part.
  const most = d.terms > mostTerms ? mostTerms / 64 : eights;
  for (let y = 0; y < d.height; y++) {
    for (let x = 0; x < d.width; x++) {
      const dest = d.dest + <usize>y * d.destRow + <usize>x * d.destPixel;
      let window = d.source + <usize>y * d.stepY + <usize>x * d.stepX;
      // Each byte in all lanes of a vector, filled up with zeros to eights; then differences.
      let to = d.scratch;
      for (let row = d.rows; row > 0; row--) {
        for (let i: usize = 0; i < d.rowBytes; i++) {
          v128.store(to, v128.load_splat<u8>(window + i));
          to += 16;
        }
        window += d.rowPitch;
      }
      memory.fill(to, 0, 7 * 16);
      for (let pair = d.scratch; pair < to; pair += 32) {
        v128.store(pair, v128.xor(v128.load(pair), v128.load(pair, 16)), 16);
      }
      for (let channel = 0; channel < d.channels; channel += 64) {
        const blocks = min(4, (d.channels - channel + 15) >> 4);
        let terms = d.terms;
        for (let done = 0; done < eights; done += most) {
          const part = min(most, eights - done);
          start(accumulators, d.starts + (<usize>channel << 1));
          for (let i = 0; i < blocks; i++) {
            const weights = d.weights + (((<usize>(channel >> 4) + i) * eights + done) << 7);
            block(d.scratch + (<usize>done << 7), weights, part, accumulators + (<usize>i << 5));
          }
          finish(d, accumulators, channel, dest, terms);
          terms = 0;
        }
      }
    }
  }
}
