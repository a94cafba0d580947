// Everything that is done to real values one by one, in one pass: batch norm, ReLU, the running sum of a residual
// branch, and the threshold that makes bits of it. Multiplication and addition are rounded one after the other, never
// fused: thresholds and onnxruntime rely on it.
import { Blend } from './descriptors';

export function blend(d: Blend): void {
  const nothing = i64x2.splat(0);
  for (let y = 0; y < d.height; y++) {
    for (let x = 0; x < d.width; x++) {
      const source = d.source + <usize>y * d.sourceRow + <usize>x * d.sourcePixel;
      const other = d.other + <usize>y * d.otherRow + <usize>x * d.otherPixel;
      const dest = d.dest + <usize>y * d.destRow + <usize>x * d.destPixel;
      const bits = d.bits + <usize>y * d.bitsRow + <usize>x * d.bitsPixel;
      let byte = 0;
      for (let channel = 0; channel < d.channels; channel += 4) {
        const at = (<usize>channel) << 2;
        let v = v128.load(source + at);
        if (d.scale) v = f32x4.add(f32x4.mul(v, v128.load(d.scale + at)), v128.load(d.bias + at));
        if (d.relu) v = f32x4.max(v, nothing);
        if (d.other) v = f32x4.add(v, v128.load(other + at));
        if (d.dest) v128.store(dest + at, v);
        if (d.bits) {
          // x <= t is -x >= -t: a sign bit to turn, and thresholds that have been turned.
          v = v128.xor(v, v128.load(d.signs + at));
          byte |= i32x4.bitmask(f32x4.ge(v, v128.load(d.thresholds + at))) << (channel & 4);
          if (channel & 4 || channel + 4 >= d.channels) {
            store<u8>(bits + (channel >> 3), <u8>byte);
            byte = 0;
          }
        }
      }
    }
  }
}
