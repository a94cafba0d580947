/**
 * Where the binary weights of a layer lie. A row is all weights of one output channel: pixel after pixel of the
 * window, each pixel's channels filled up with zeros to whole units, as activations are; zeros never differ.
 *   table     [block][half bytes, three at a time][channel of block], each half byte in a byte of its own; a block
 *             has 64 channels, or 32 when no more remain (assembly/conv-table.ts)
 *   popcount  [block of 16 channels][byte][channel of block], bytes filled up to eights, every second one as its
 *             difference from the one before (assembly/conv-popcount.ts)
 *   rows      [channel][byte], for kernels that work on words
 */
import { descriptorBytes, writeDescriptor } from './descriptors.ts';
import type { Kernels } from './kernels.ts';
import { roundUp, slackBytes } from './layout.ts';

const forms = ['rows', 'table', 'popcount'] as const;

/** The binary weights of one layer, and how they are to lie. */
export interface BinaryWeights {
  readonly order: (typeof forms)[number];
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

/** Bytes that a row takes: in the order `table` half bytes, three at a time, in `popcount` eight bytes at a time. */
function rowBytes({ order, pixels, pixelBytes }: BinaryWeights): number {
  const bytes = pixels * pixelBytes;
  if (order === 'rows') return bytes;
  return order === 'table' ? roundUp(2 * bytes, 3) : roundUp(bytes, 8);
}

/** Channels of the block that has channel `k`. */
function blockLanes({ order, outputs }: BinaryWeights, k: number): number {
  if (order !== 'table') return order === 'popcount' ? 16 : 1;
  return outputs - Math.floor(k / 64) * 64 <= 32 ? 32 : 64;
}

/** Bytes that binary weights take in memory. */
export function binaryWeightBytes(weights: BinaryWeights): number {
  const last = weights.outputs - 1;
  return rowBytes(weights) * roundUp(weights.outputs, blockLanes(weights, last));
}

/** Bytes of scratch memory that `layBinaryWeights` needs: a record and the stream of a block. */
export function binaryLayBytes(weights: BinaryWeights): number {
  const bits = Math.min(weights.outputs, blockLanes(weights, 0)) * weights.pixels * weights.channels;
  return descriptorBytes('lay') + Math.ceil(bits / 8) + 1 + slackBytes;
}

/** Brings the weights to `dest`, block by block; memory there is 0. `scratch` is a multiple of 4. */
export function layBinaryWeights(
  weights: BinaryWeights,
  { memory, table }: Kernels,
  dest: number,
  scratch: number,
): void {
  const { order, outputs, pixels, channels, planar, pixelBytes, stream } = weights;
  const words = new Int32Array(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  const source = scratch + descriptorBytes('lay');
  const rowBits = pixels * channels;
  for (let first = 0; first < outputs; ) {
    const lanes = blockLanes(weights, first);
    const rows = Math.min(lanes, outputs - first);
    const bit = first * rowBits;
    bytes.set(stream.subarray(bit >> 3, Math.ceil((bit + rows * rowBits) / 8)), source);
    writeDescriptor(words, scratch, 'lay', {
      source,
      shift: bit & 7,
      outputs: rows,
      pixels,
      channels,
      planar: Number(planar),
      pixelBytes,
      dest: dest + first * rowBytes(weights),
      pitch: lanes,
      form: forms.indexOf(order),
    });
    table.lay(scratch);
    first += lanes;
  }
}

/** The weights of one layer of reals: `stream` is [outputs][channels][pixels], as files have it. */
export interface RealWeights {
  readonly outputs: number;
  readonly pixels: number;
  readonly channels: number;
  readonly stream: Float32Array | Int16Array;
}

/** Bytes that real weights take in memory: [block of 8 outputs][pixel][channel of pixel][8], filled up with zeros. */
export function realWeightBytes({ outputs, pixels, channels }: RealWeights): number {
  return 4 * roundUp(outputs, 8) * pixels * channels;
}

/** Bytes of scratch memory that `layRealWeights` needs: a record and the weights of a block. */
export function realLayBytes({ pixels, channels }: RealWeights): number {
  return descriptorBytes('arrange') + 4 * 8 * pixels * channels;
}

/** Brings the weights to `dest`, where memory is 0. `scratch` is a multiple of 4. */
export function layRealWeights(
  { outputs, pixels, channels, stream }: RealWeights,
  { memory, table }: Kernels,
  dest: number,
  scratch: number,
): void {
  const words = new Int32Array(memory.buffer);
  const source = scratch + descriptorBytes('arrange');
  const elements = pixels * channels;
  const staged = new Float32Array(memory.buffer, source, 8 * elements);
  for (let first = 0; first < outputs; first += 8) {
    const lanes = Math.min(8, outputs - first);
    staged.set(stream.subarray(first * elements, (first + lanes) * elements));
    writeDescriptor(words, scratch, 'arrange', {
      width: channels,
      height: pixels,
      channels: lanes,
      source,
      sourcePixel: 4 * pixels,
      sourceRow: 4,
      sourceChannel: 4 * elements,
      dest: dest + 4 * first * elements,
      destPixel: 4 * 8,
      destRow: 4 * 8 * channels,
      destChannel: 4,
    });
    table.arrange(scratch);
  }
}

/**
 * Greatest size of whole values that kernels take as such: values stay within int16, sums within what float32 counts
 * exactly, so that integers and floats give the same number.
 */
export function greatestWhole({ outputs, pixels, channels, stream }: RealWeights): number {
  let greatest = 1;
  for (let k = 0; k < outputs; k++) {
    let sum = 0;
    const row = k * channels * pixels;
    for (let i = 0; i < channels * pixels; i++) sum += Math.abs(stream[row + i]!);
    greatest = Math.max(greatest, sum);
  }
  return Math.min(32767, Math.floor(2 ** 24 / greatest));
}

/**
 * Whole weights in pairs, [block of 8 outputs][row of the window][pair][8][2]: a row's pixels and their channels one
 * after the other, filled up with zeros to pairs and to 8 outputs. `rows` of pixels make the window.
 */
export function pairedWeights({ outputs, pixels, channels, stream }: RealWeights, rows: number): Int16Array {
  const run = (pixels / rows) * channels;
  const pairs = Math.ceil(run / 2);
  const paired = new Int16Array(roundUp(outputs, 8) * rows * pairs * 2);
  for (let k = 0; k < outputs; k++) {
    const block = (k >> 3) * rows * pairs * 16 + 2 * (k & 7);
    for (let pixel = 0; pixel < pixels; pixel++) {
      for (let channel = 0; channel < channels; channel++) {
        const element = pixel * channels + channel;
        const inRow = element % run;
        const at = block + (Math.floor(element / run) * pairs + (inRow >> 1)) * 16 + (inRow & 1);
        paired[at] = stream[(k * channels + channel) * pixels + pixel]!;
      }
    }
  }
  return paired;
}
