/**
 * Depthwise convolution of bits with int8, for all implementations, in a file that pages load when a program has one. It
 * is plain JavaScript: nine additions a sum are little beside the binary 1x1 convolution that comes after them.
 */
import { descriptors } from './descriptors.ts';
import type { Kernel, Kernels } from './kernels.ts';

/** `kernels` with `depthwise` on the same memory. */
export function withDepthwise(kernels: Kernels): Kernels {
  return { ...kernels, table: { ...kernels.table, depthwise: depthwise(kernels.memory.buffer) } };
}

type Field = (typeof descriptors.pool)[number];
/** Index of each field of the record. */
const at = Object.fromEntries(descriptors.pool.map((field, i) => [field, i])) as Readonly<
  Record<Field, number>
>;

/** Windows are cut off at the border, so that what lies beyond adds nothing. */
function depthwise(buffer: ArrayBuffer): Kernel {
  const bytes = new Uint8Array(buffer);
  const weights = new Int8Array(buffer);
  const words = new Int32Array(buffer);
  const floats = new Float32Array(buffer);
  return (descriptor) => {
    const d = descriptor >> 2;
    const source = words[d + at.source]!;
    const sourcePixel = words[d + at.sourcePixel]!;
    const sourceRow = words[d + at.sourceRow]!;
    const kernelW = words[d + at.kernelW]!;
    const kernelH = words[d + at.kernelH]!;
    const channels = words[d + at.pixelBytes]! >> 2;
    const firstWeight = words[d + at.inverts]!;
    const area = kernelH * kernelW;
    for (let y = 0; y < words[d + at.height]!; y++) {
      const y0 = y * words[d + at.strideH]! - words[d + at.padH]!;
      const top = Math.max(0, y0);
      const bottom = Math.min(words[d + at.sourceHeight]!, y0 + kernelH);
      for (let x = 0; x < words[d + at.width]!; x++) {
        const x0 = x * words[d + at.strideW]! - words[d + at.padW]!;
        const left = Math.max(0, x0);
        const right = Math.min(words[d + at.sourceWidth]!, x0 + kernelW);
        const to = (words[d + at.dest]! + y * words[d + at.destRow]! + x * words[d + at.destPixel]!) >> 2;
        for (let channel = 0; channel < channels; channel++) {
          const byte = source + (channel >> 3);
          const bit = channel & 7;
          const filter = firstWeight + channel * area;
          let sum = 0;
          for (let v = top; v < bottom; v++) {
            let from = byte + v * sourceRow + left * sourcePixel;
            let weight = filter + (v - y0) * kernelW + left - x0;
            for (let u = left; u < right; u++) {
              const isSet = (bytes[from]! >> bit) & 1;
              sum += weights[weight++]! * (2 * isSet - 1);
              from += sourcePixel;
            }
          }
          floats[to + channel] = sum;
        }
      }
    }
  };
}
