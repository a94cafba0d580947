// Entry of engine-scalar.wasm, for a WebAssembly without SIMD: binary convolutions by i64.popcnt, on the memory of the
// JavaScript kernels, which do all else. A pixel's bits are filled up with zeros to whole words of 64, in activations
// and weights alike. Weights: [channel][word].
import { ConvBinary } from './descriptors';

function mismatches(window: usize, weights: usize, d: ConvBinary): i32 {
  let count: i64 = 0;
  for (let row = d.rows; row > 0; row--) {
    for (let i: usize = 0; i < d.rowBytes; i += 8) {
      count += popcnt(load<i64>(window + i) ^ load<i64>(weights));
      weights += 8;
    }
    window += d.rowPitch;
  }
  return <i32>count;
}

export function convBinary(d: ConvBinary): void {
  const words = <usize>d.rows * d.rowBytes;
  for (let y = 0; y < d.height; y++) {
    for (let x = 0; x < d.width; x++) {
      const window = d.source + <usize>y * d.stepY + <usize>x * d.stepX;
      const dest = d.dest + <usize>y * d.destRow + <usize>x * d.destPixel;
      let bits: i32 = 0;
      for (let channel = 0; channel < d.channels; channel++) {
        const count = mismatches(window, d.weights + <usize>channel * words, d);
        if (d.sums) {
          store<f32>(dest + (<usize>channel << 2), <f32>(d.terms - 2 * count));
          continue;
        }
        if (count + load<i16>(d.starts + ((<usize>channel) << 1)) < 0) bits |= 1 << (channel & 7);
        if ((channel & 7) == 7 || channel + 1 == d.channels) {
          store<u8>(dest + (channel >> 3), <u8>(bits ^ load<u8>(d.inverts + (channel >> 3))));
          bits = 0;
        }
      }
    }
  }
}
