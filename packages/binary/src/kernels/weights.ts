/**
 * Where the binary weights of a layer lie. A row is all weights of one output channel: pixel after pixel of the
 * window, each pixel's channels filled up with zeros to whole units, as activations are; zeros never differ.
 *   table     [block][half bytes, three at a time][channel of block], each half byte in a byte of its own; a block
 *             has 64 channels, or 32 when no more remain (assembly/conv-table.ts)
 *   popcount  [block][byte][channel of block], a block has 64 channels (assembly/conv-popcount.ts)
 *   rows      [channel][byte], for kernels that work on words
 */
import { descriptorBytes, writeDescriptor } from './descriptors.ts';
import type { Kernels } from './kernels.ts';
import { roundUp, slackBytes } from './layout.ts';

/** The binary weights of one layer, and where they are to lie. */
export interface BinaryWeights {
  readonly order: 'table' | 'popcount' | 'rows';
  readonly outputs: number;
  /** Pixels of the window and channels of each. */
  readonly pixels: number;
  readonly channels: number;
  /** Whether the file has the pixels of a channel side by side, rather than the channels of a pixel. */
  readonly planar: boolean;
  /** Bytes of a pixel's bits. */
  readonly pixelBytes: number;
  readonly stream: Uint8Array;
}

/** Half bytes of a row in the order `table`, filled up to threes. */
function tableSteps({ pixels, pixelBytes }: BinaryWeights): number {
  return roundUp(2 * pixels * pixelBytes, 3);
}

/** Channels of the block that begins with channel `first`. */
function blockLanes({ order, outputs }: BinaryWeights, first: number): number {
  return order === 'table' && outputs - first <= 32 ? 32 : 64;
}

/** Bytes that the weights take in memory. */
export function weightBytes(weights: BinaryWeights): number {
  const { order, outputs, pixels, pixelBytes } = weights;
  if (order === 'rows') return outputs * pixels * pixelBytes;
  const steps = order === 'table' ? tableSteps(weights) : pixels * pixelBytes;
  const whole = Math.floor(outputs / 64) * 64;
  return steps * (whole + (outputs > whole ? blockLanes(weights, whole) : 0));
}

/** Bytes of scratch memory that `layWeights` needs. */
export function layScratchBytes({ pixels, channels }: BinaryWeights): number {
  return descriptorBytes('lay') + Math.ceil((pixels * channels) / 8) + 1 + slackBytes;
}

/** Brings the weights to `dest`, row by row. Memory there is 0; `scratch` is a multiple of 4. */
export function layWeights(weights: BinaryWeights, kernels: Kernels, dest: number, scratch: number): void {
  const { order, outputs, pixels, channels, planar, pixelBytes, stream } = weights;
  const words = new Int32Array(kernels.memory.buffer);
  const bytes = new Uint8Array(kernels.memory.buffer);
  const source = scratch + descriptorBytes('lay');
  const rowBits = pixels * channels;
  const rowBytes = order === 'table' ? tableSteps(weights) : pixels * pixelBytes;
  for (let k = 0; k < outputs; k++) {
    const bit = k * rowBits;
    bytes.set(stream.subarray(bit >> 3, ((bit + rowBits - 1) >> 3) + 1), source);
    const lane = order === 'rows' ? 0 : k % 64;
    const pitch = order === 'rows' ? 1 : blockLanes(weights, k - lane);
    writeDescriptor(words, scratch, 'lay', {
      source,
      shift: bit & 7,
      pixels,
      channels,
      planar: Number(planar),
      pixelBytes,
      dest: dest + (k - lane) * rowBytes + lane,
      pitch,
      split: Number(order === 'table'),
    });
    kernels.table.lay(scratch);
  }
}

/**
 * Real weights as kernels read them: [block of 8 channels][pixel][channel of pixel][8], filled up with zeros. `stream`
 * is [outputs][channels][pixels], as files have it.
 */
export function realWeights(
  stream: ArrayLike<number>,
  outputs: number,
  pixels: number,
  channels: number,
  dest: Float32Array,
): void {
  const elements = pixels * channels;
  for (let k = 0; k < outputs; k++) {
    const block = (k >> 3) * elements * 8 + (k & 7);
    for (let channel = 0; channel < channels; channel++) {
      const from = (k * channels + channel) * pixels;
      for (let pixel = 0; pixel < pixels; pixel++) {
        dest[block + (pixel * channels + channel) * 8] = stream[from + pixel]!;
      }
    }
  }
}
