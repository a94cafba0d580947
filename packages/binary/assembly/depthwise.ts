// Entry of engine-depthwise.wasm: one kernel on the memory of engine-simd.wasm.
import { Pool } from './descriptors';

/**
 * Depthwise convolution of bits with int8, eight channels at a time: w where a channel's bit is set, and where it is clear
 * -w, which is (w xor -1) - -1. `inverts` has the weights, [row][column][channel]. Sums are held in i16, which 255 weights
 * of -128 do not leave. Windows are cut off at the edge of the value, so that what lies beyond adds nothing.
 */
export function depthwise(d: Pool): void {
  const channels = d.pixelBytes >> 2;
  const sourcePixel = d.sourcePixel, sourceRow = d.sourceRow, kernelW = d.kernelW;
  const bits = i16x8(1, 2, 4, 8, 16, 32, 64, 128);
  for (let y = 0; y < d.height; y++) {
    const y0 = y * d.strideH - d.padH;
    const top = max(0, y0);
    const bottom = min(d.sourceHeight, y0 + d.kernelH);
    for (let x = 0; x < d.width; x++) {
      const x0 = x * d.strideW - d.padW;
      const left = max(0, x0);
      const right = min(d.sourceWidth, x0 + kernelW);
      const source = d.source + <usize>top * sourceRow + <usize>left * sourcePixel;
      const filters = d.inverts + <usize>((top - y0) * kernelW + left - x0) * channels;
      const dest = d.dest + <usize>y * d.destRow + <usize>x * d.destPixel;
      for (let channel: usize = 0; channel < channels; channel += 8) {
        let sums = i16x8.splat(0);
        let row = source + (channel >> 3);
        let filter = filters + channel;
        for (let v = top; v < bottom; v++) {
          let at = row;
          let weight = filter;
          for (let u = left; u < right; u++) {
            const clear = i16x8.eq(v128.and(i16x8.splat(<i16>load<u8>(at)), bits), i16x8.splat(0));
            sums = i16x8.add(sums, i16x8.sub(v128.xor(v128.load8x8_s(weight), clear), clear));
            at += sourcePixel;
            weight += channels;
          }
          row += sourceRow;
          filter += <usize>kernelW * channels;
        }
        const to = dest + (channel << 2);
        v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(sums)));
        // Sums are filled up to four channels, not to eight.
        if (channel + 4 < channels) v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(sums)), 16);
      }
    }
  }
}
