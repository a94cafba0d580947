// Pooling. Windows are cut off at the edge of the value, so that padding takes no part.
import { Mean, Pool } from './descriptors';

/** Greatest of each window, float32. */
export function poolReal(d: Pool): void {
  for (let y = 0; y < d.height; y++) {
    const top = max(0, y * d.strideH - d.padH);
    const bottom = min(d.sourceHeight, y * d.strideH - d.padH + d.kernelH);
    for (let x = 0; x < d.width; x++) {
      const left = max(0, x * d.strideW - d.padW);
      const right = min(d.sourceWidth, x * d.strideW - d.padW + d.kernelW);
      const source = d.source + <usize>top * d.sourceRow + <usize>left * d.sourcePixel;
      const dest = d.dest + <usize>y * d.destRow + <usize>x * d.destPixel;
      for (let i = 0; i < d.pixelBytes; i += 16) {
        let best = v128.load(source + i);
        let row = source + i;
        for (let v = top; v < bottom; v++) {
          let at = row;
          for (let u = left; u < right; u++) {
            best = f32x4.max(best, v128.load(at));
            at += d.sourcePixel;
          }
          row += d.sourceRow;
        }
        v128.store(dest + i, best);
      }
    }
  }
}

/** Or of each window of bits, then the bits of `inverts` turned round. */
export function poolBits(d: Pool): void {
  for (let y = 0; y < d.height; y++) {
    const top = max(0, y * d.strideH - d.padH);
    const bottom = min(d.sourceHeight, y * d.strideH - d.padH + d.kernelH);
    for (let x = 0; x < d.width; x++) {
      const left = max(0, x * d.strideW - d.padW);
      const right = min(d.sourceWidth, x * d.strideW - d.padW + d.kernelW);
      const source = d.source + <usize>top * d.sourceRow + <usize>left * d.sourcePixel;
      const dest = d.dest + <usize>y * d.destRow + <usize>x * d.destPixel;
      let i = 0;
      while (i < d.pixelBytes) {
        const eight = i + 8 <= d.pixelBytes;
        let any: u64 = 0;
        let row = source + i;
        for (let v = top; v < bottom; v++) {
          let at = row;
          for (let u = left; u < right; u++) {
            any |= eight ? load<u64>(at) : <u64>load<u8>(at);
            at += d.sourcePixel;
          }
          row += d.sourceRow;
        }
        any ^= load<u64>(d.inverts + i);
        if (eight) store<u64>(dest + i, any);
        else store<u8>(dest + i, <u8>any);
        i += eight ? 8 : 1;
      }
    }
  }
}

/** Mean of each plane: float64 sums in row-major order, rounded once. */
export function mean(d: Mean): void {
  const count = f64x2.splat(<f64>(d.width * d.height));
  for (let channel = 0; channel < d.channels; channel += 4) {
    let low = f64x2.splat(0),
      high = low;
    let row = d.source + ((<usize>channel) << 2);
    for (let y = 0; y < d.height; y++) {
      let at = row;
      for (let x = 0; x < d.width; x++) {
        const v = v128.load(at);
        low = f64x2.add(low, f64x2.promote_low_f32x4(v));
        high = f64x2.add(high, f64x2.promote_low_f32x4(i64x2.shuffle(v, v, 1, 1)));
        at += d.sourcePixel;
      }
      row += d.sourceRow;
    }
    low = f32x4.demote_f64x2_zero(f64x2.div(low, count));
    high = f32x4.demote_f64x2_zero(f64x2.div(high, count));
    v128.store(d.dest + ((<usize>channel) << 2), i64x2.shuffle(low, high, 0, 2));
  }
}
