// Between the layouts of files and callers (planes, dense bit streams) and those of kernels.
import { Arrange, Lay, Spread } from './descriptors';

/** float32 values from one layout to another: planes, or channels side by side. */
export function arrange(d: Arrange): void {
  const sourcePixel = d.sourcePixel, destPixel = d.destPixel;
  for (let channel: usize = 0; channel < d.channels; channel++) {
    for (let y = 0; y < d.height; y++) {
      let from = d.source + channel * d.sourceChannel + <usize>y * d.sourceRow;
      let to = d.dest + channel * d.destChannel + <usize>y * d.destRow;
      for (let x = d.width; x > 0; x--) {
        store<f32>(to, load<f32>(from));
        from += sourcePixel;
        to += destPixel;
      }
    }
  }
}

/** Bits to planes of +1 and -1. */
export function spread(d: Spread): void {
  const sourcePixel = d.sourcePixel;
  let to = d.dest;
  for (let channel: usize = 0; channel < d.channels; channel++) {
    const mask = 1 << (<i32>channel & 7);
    for (let y = 0; y < d.height; y++) {
      let from = d.source + <usize>y * d.sourceRow + (channel >> 3);
      for (let x = d.width; x > 0; x--) {
        store<f32>(to, <i32>load<u8>(from) & mask ? 1 : -1);
        from += sourcePixel;
        to += 4;
      }
    }
  }
}

/** Eight bits of the stream from bit `at` on. */
// @ts-ignore: decorator
@inline
function eight(d: Lay, at: i32): i32 {
  return (<i32>load<u16>(d.source + (at >> 3)) >> (at & 7)) & 255;
}

/** Byte `index` of a row of weights to where its lane has it: whole, or as two half bytes in a byte each. */
function put(d: Lay, lane: usize, index: i32, byte: i32): void {
  const halves = d.form == 1;
  const at = lane + ((<usize>index * d.pitch) << <i32>halves);
  store<u8>(at, <u8>(halves ? byte & 15 : byte));
  if (halves) store<u8>(at + d.pitch, <u8>(byte >> 4));
}

/**
 * The binary weights of some output channels from the file's bit stream to their lanes. In the stream the channels of
 * a pixel lie side by side, or with `planar` the pixels of a channel; a lane has pixel after pixel, each filled up
 * with zeros to whole bytes.
 */
export function lay(d: Lay): void {
  const pixels = d.pixels, channels = d.channels;
  for (let output = 0; output < d.outputs; output++) {
    const lane = d.dest + <usize>output;
    const stream = d.shift + output * pixels * channels;
    for (let byte = 0; byte < d.pixelBytes; byte++) {
      const channel = byte << 3;
      const present = min(8, channels - channel);
      if (!d.planar) {
        for (let pixel = 0; pixel < pixels; pixel++) {
          const bits = eight(d, stream + pixel * channels + channel) & ((1 << present) - 1);
          put(d, lane, pixel * d.pixelBytes + byte, bits);
        }
        continue;
      }
      for (let pixel = 0; pixel < pixels; pixel += 8) {
        // Row i: channel + i, column j: pixel + j. Transposed by swapping ever larger blocks (Hacker's Delight 7-3).
        let m: u64 = 0;
        for (let i = 0; i < present; i++) {
          m |= <u64>eight(d, stream + (channel + i) * pixels + pixel) << (i << 3);
        }
        let t = (m ^ (m >> 7)) & 0x00aa00aa00aa00aa;
        m ^= t ^ (t << 7);
        t = (m ^ (m >> 14)) & 0x0000cccc0000cccc;
        m ^= t ^ (t << 14);
        t = (m ^ (m >> 28)) & 0x00000000f0f0f0f0;
        m ^= t ^ (t << 28);
        for (let j = 0; j < 8 && pixel + j < pixels; j++) {
          put(d, lane, (pixel + j) * d.pixelBytes + byte, <i32>((m >> (j << 3)) & 255));
        }
      }
    }
  }
  if (d.form != 2) return;
  // Every second byte as its difference from the one before.
  const end = d.dest + <usize>(pixels * d.pixelBytes) * d.pitch;
  for (let at = d.dest; at < end; at += d.pitch << 1) {
    const next = at + d.pitch;
    v128.store(next, v128.xor(v128.load(at), v128.load(next)));
  }
}
