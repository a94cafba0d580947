// Everything that is done to real values one by one, in one pass: batch norm, ReLU, the running sum of a residual
// branch, and the threshold that makes bits of it. Multiplication and addition are rounded one after the other, never
// fused: thresholds and onnxruntime rely on it. Eight channels at a time, which make a byte of bits.
import { Blend } from './descriptors';

export function blend(d: Blend): void {
  const nothing = i64x2.splat(0);
  const end = <usize>d.channels << 2;
  const scale = d.scale, bias = d.bias, relu = d.relu, adds = d.other, stores = d.dest, compares = d.bits;
  const signs = d.signs, thresholds = d.thresholds;
  for (let y = 0; y < d.height; y++) {
    let source = d.source + <usize>y * d.sourceRow;
    let other = adds + <usize>y * d.otherRow;
    let dest = stores + <usize>y * d.destRow;
    let bits = compares + <usize>y * d.bitsRow;
    for (let x = d.width; x > 0; x--) {
      for (let at: usize = 0; at < end; at += 32) {
        let v = v128.load(source + at), w = v128.load(source + at, 16);
        if (scale) {
          v = f32x4.add(f32x4.mul(v, v128.load(scale + at)), v128.load(bias + at));
          w = f32x4.add(f32x4.mul(w, v128.load(scale + at, 16)), v128.load(bias + at, 16));
        }
        if (relu) {
          v = f32x4.pmax(v, nothing);
          w = f32x4.pmax(w, nothing);
        }
        if (adds) {
          v = f32x4.add(v, v128.load(other + at));
          w = f32x4.add(w, v128.load(other + at, 16));
        }
        if (stores) {
          v128.store(dest + at, v);
          if (at + 16 < end) v128.store(dest + at, w, 16);
        }
        if (compares) {
          // x <= t is -x >= -t: a sign bit to turn, and thresholds that have been turned.
          v = f32x4.ge(v128.xor(v, v128.load(signs + at)), v128.load(thresholds + at));
          w = f32x4.ge(v128.xor(w, v128.load(signs + at, 16)), v128.load(thresholds + at, 16));
          store<u8>(bits + (at >> 5), <u8>i16x8.bitmask(i16x8.narrow_i32x4_s(v, w)));
        }
      }
      source += d.sourcePixel;
      other += d.otherPixel;
      dest += d.destPixel;
      bits += d.bitsPixel;
    }
  }
}
