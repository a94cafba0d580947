// Pooling.
import { Mean, Pool } from './descriptors';

/**
 * Greatest of each window of float32; or, where there are `inverts`, the or of each window of bits, with the bits of
 * `inverts` turned round afterwards. Windows are cut off at the edge of the value, so that padding takes no part.
 */
export function pool(d: Pool): void {
  for (let y = 0; y < d.height; y++) {
    const top = max(0, y * d.strideH - d.padH);
    const bottom = min(d.sourceHeight, y * d.strideH - d.padH + d.kernelH);
    for (let x = 0; x < d.width; x++) {
      const left = max(0, x * d.strideW - d.padW);
      const right = min(d.sourceWidth, x * d.strideW - d.padW + d.kernelW);
      const source = d.source + <usize>top * d.sourceRow + <usize>left * d.sourcePixel;
      const dest = d.dest + <usize>y * d.destRow + <usize>x * d.destPixel;
      let i: usize = 0;
      while (i < d.pixelBytes) {
        const eight = i + 8 <= d.pixelBytes;
        let row = source + i;
        let best = v128.load(row);
        let any: u64 = 0;
        for (let v = top; v < bottom; v++) {
          let at = row;
          for (let u = left; u < right; u++) {
            if (!d.inverts) best = f32x4.pmax(best, v128.load(at));
            else any |= eight ? load<u64>(at) : <u64>load<u8>(at);
            at += d.sourcePixel;
          }
          row += d.sourceRow;
        }
        if (!d.inverts) {
          v128.store(dest + i, best);
          i += 16;
          continue;
        }
        any ^= load<u64>(d.inverts + i);
        if (eight) {
          store<u64>(dest + i, any);
          i += 8;
        } else {
          store<u8>(dest + i, <u8>any);
          i++;
        }
      }
    }
  }
}

/** Mean of each plane: float64 sums in row-major order, rounded once. */
export function mean(d: Mean): void {
  for (let channel: usize = 0; channel < d.channels; channel++) {
    let sum: f64 = 0;
    let row = d.source + (channel << 2);
    for (let y = 0; y < d.height; y++) {
      let at = row;
      for (let x = 0; x < d.width; x++) {
        sum += <f64>load<f32>(at);
        at += d.sourcePixel;
      }
      row += d.sourceRow;
    }
    store<f32>(d.dest + (channel << 2), <f32>(sum / <f64>(d.width * d.height)));
  }
}
