/**
 * Depthwise convolution of bits with int8, in a file that pages load when a program has one: a module of its own beside
 * kernels in SIMD, and JavaScript beside all others.
 */
import { engineDepthwise } from '../generated/engine-depthwise.ts';
import { descriptors } from './descriptors.ts';
import type { Kernel, Kernels } from './kernels.ts';
import { moduleBytes, wasmKernels } from './wasm.ts';

/** Most products of a sum that the module can hold (assembly/depthwise.ts). */
const mostProducts = 255;

/** `kernels` with `depthwise` on the same memory. */
export async function withDepthwise(kernels: Kernels): Promise<Kernels> {
  const { layout, memory, table } = kernels;
  const inJavascript = depthwise(memory.buffer);
  if (!layout.lanes) return { ...kernels, table: { ...table, depthwise: inJavascript } };
  const module = await WebAssembly.compile(moduleBytes(engineDepthwise));
  const inSimd = await wasmKernels<{ depthwise: Kernel }>(module, memory as WebAssembly.Memory);
  const words = new Int32Array(memory.buffer);
  return {
    ...kernels,
    table: {
      ...table,
      depthwise(descriptor) {
        const d = descriptor >> 2;
        const products = words[d + at.kernelH]! * words[d + at.kernelW]!;
        (products > mostProducts ? inJavascript : inSimd.depthwise)(descriptor);
      },
    },
  };
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
    const sourcePixel = words[d + at.sourcePixel]!;
    const sourceRow = words[d + at.sourceRow]!;
    const kernelW = words[d + at.kernelW]!;
    const channels = words[d + at.pixelBytes]! >> 2;
    for (let y = 0; y < words[d + at.height]!; y++) {
      const y0 = y * words[d + at.strideH]! - words[d + at.padH]!;
      const top = Math.max(0, y0);
      const bottom = Math.min(words[d + at.sourceHeight]!, y0 + words[d + at.kernelH]!);
      for (let x = 0; x < words[d + at.width]!; x++) {
        const x0 = x * words[d + at.strideW]! - words[d + at.padW]!;
        const left = Math.max(0, x0);
        const right = Math.min(words[d + at.sourceWidth]!, x0 + kernelW);
        const to = (words[d + at.dest]! + y * words[d + at.destRow]! + x * words[d + at.destPixel]!) >> 2;
        floats.fill(0, to, to + channels);
        for (let v = top; v < bottom; v++) {
          for (let u = left; u < right; u++) {
            const pixel = words[d + at.source]! + v * sourceRow + u * sourcePixel;
            const weight = words[d + at.inverts]! + ((v - y0) * kernelW + u - x0) * channels;
            for (let channel = 0; channel < channels; channel++) {
              const isSet = (bytes[pixel + (channel >> 3)]! >> (channel & 7)) & 1;
              floats[to + channel]! += isSet ? weights[weight + channel]! : -weights[weight + channel]!;
            }
          }
        }
      }
    }
  };
}
