// Binary convolution or dense layer, one output pixel and 64 output channels at a time: xor, popcount, add. One
// pixel has no partner to share a table with (conv-table.ts), and its weights are read once, so half the bytes count.
//
// Weights: [block of 64 channels][byte of activations][channel of block]. A byte of activations, in all lanes, differs
// from the weights of a channel in at most 8 bits, so byte counters hold 31 of them (248 <= 255); then they are added
// to the i16 accumulators, whose range is that of conv-table.ts.
import { ConvBinary } from './descriptors';
import { accumulators, finish, mostTerms, start, widen, zero } from './tile';

// @ts-ignore: decorator
@inline
function mismatches(activations: v128, weights: v128): v128 {
  return i8x16.popcnt(v128.xor(activations, weights));
}

function block(q: usize, w: usize, bytes: i32): usize {
  for (let left = bytes; left > 0; left -= 31) {
    const end = w + (<usize>min(31, left) << 6);
    let a0 = zero(), a1 = a0, a2 = a0, a3 = a0;
    do {
      const x = v128.load_splat<u8>(q);
      a0 = i8x16.add(a0, mismatches(x, v128.load(w)));
      a1 = i8x16.add(a1, mismatches(x, v128.load(w, 16)));
      a2 = i8x16.add(a2, mismatches(x, v128.load(w, 32)));
      a3 = i8x16.add(a3, mismatches(x, v128.load(w, 48)));
      q++;
      w += 64;
    } while (w != end);
    widen(accumulators, a0);
    widen(accumulators + 32, a1);
    widen(accumulators + 64, a2);
    widen(accumulators + 96, a3);
  }
  return w;
}

export function convPopcount(d: ConvBinary): void {
  const bytes = d.rows * <i32>d.rowBytes;
  const most = d.terms > mostTerms ? mostTerms / 8 : bytes;
  for (let y = 0; y < d.height; y++) {
    for (let x = 0; x < d.width; x++) {
      let window = d.source + <usize>y * d.stepY + <usize>x * d.stepX;
      const dest = d.dest + <usize>y * d.destRow + <usize>x * d.destPixel;
      if (d.rows > 1) {
        let to = d.scratch;
        for (let row = d.rows; row > 0; row--) {
          memory.copy(to, window, d.rowBytes);
          to += d.rowBytes;
          window += d.rowPitch;
        }
        window = d.scratch;
      }
      let weights = d.weights;
      for (let channel = 0; channel < d.channels; channel += 64) {
        let terms = d.terms;
        for (let done = 0; done < bytes; done += most) {
          start(accumulators, d.starts + (<usize>channel << 1));
          weights = block(window + done, weights, min(most, bytes - done));
          finish(d, accumulators, channel, dest, terms);
          terms = 0;
        }
      }
    }
  }
}
