// What the kernels of binary convolutions share: walking over output pixels, i16 accumulators, and the epilogue.
import { ConvBinary } from './descriptors';

// Fixed addresses, at the beginning of every memory; src/kernels/layout.ts says where they end.
/** 16 bytes of 0x0f. */
export const lowNibbles: usize = 16;
/** 256 tables of 16 bytes: see conv-table.ts. */
export const pairTable: usize = 32;
/** Mismatches so far of two pixels and 64 output channels: 2 x 64 i16. */
export const accumulators: usize = 4128;

/** Writes what kernels take for granted; called once for a memory. */
export function begin(): void {
  v128.store(lowNibbles, i8x16.splat(15));
  for (let pair = 0; pair < 256; pair++) {
    for (let i = 0; i < 16; i++) {
      const mismatches = popcnt(i ^ (pair & 15)) + 16 * popcnt(i ^ (pair >> 4));
      store<u8>(pairTable + <usize>(16 * pair + i), <u8>mismatches);
    }
  }
}

// @ts-ignore: decorator
@inline
export function zero(): v128 {
  return i64x2.splat(0);
}

/** Adds 16 byte counters to 16 i16 accumulators. */
// @ts-ignore: decorator
@inline
export function widen(at: usize, counts: v128): void {
  v128.store(at, i16x8.add(v128.load(at), i16x8.extend_low_i8x16_u(counts)));
  v128.store(at, i16x8.add(v128.load(at, 16), i16x8.extend_high_i8x16_u(counts)), 16);
}

/** Sets the i16 accumulators of one pixel to where they start: 64 of them. */
export function start(at: usize, starts: usize): void {
  for (let i: usize = 0; i < 128; i += 16) v128.store(at + i, v128.load(starts + i));
}

// @ts-ignore: decorator
@inline
function signs(at: usize): u64 {
  return <u64>(<u32>i8x16.bitmask(i8x16.narrow_i16x8_s(v128.load(at), v128.load(at, 16))));
}

/** Mismatches that an i16 accumulator may count, from 0 on. */
export const mostTerms = 32767;

/**
 * Writes one pixel of up to 64 channels from `first` on. As bits: accumulators started at minus the limit, so the
 * sign says whether mismatches < limit; `inverts` turns round the channels of a flipped comparison. As sums:
 * terms - 2 mismatches in float32, written, or added when `terms` is 0.
 */
export function finish(d: ConvBinary, at: usize, first: i32, dest: usize, terms: i32): void {
  if (!d.sums) {
    let bits = signs(at) | (signs(at + 32) << 16) | (signs(at + 64) << 32) | (signs(at + 96) << 48);
    bits ^= load<u64>(d.inverts + (first >> 3));
    dest += first >> 3;
    let left = (d.channels - first + 7) >> 3;
    if (left >= 8) {
      store<u64>(dest, bits);
    } else {
      do {
        store<u8>(dest++, <u8>bits);
        bits >>= 8;
      } while (--left);
    }
    return;
  }
  const end = at + (<usize>min(64, d.channels - first) << 1);
  dest += <usize>first << 2;
  do {
    const mismatches = f32x4.convert_i32x4_s(v128.load_ext<i16>(at));
    const before = terms ? f32x4.splat(<f32>terms) : v128.load(dest);
    v128.store(dest, f32x4.sub(before, f32x4.add(mismatches, mismatches)));
    dest += 16;
    at += 8;
  } while (at < end);
}
