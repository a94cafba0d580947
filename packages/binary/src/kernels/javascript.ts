/**
 * The kernels in plain JavaScript, for pages whose content security policy forbids WebAssembly: bits in words of 32,
 * counted with shifts and masks. Loops are written for the compiler of the browser: numbers only, no closures, no
 * iteration protocol.
 */
import { type DescriptorName, descriptors } from './descriptors.ts';
import type { BitLayout, Kernel, KernelSource, Kernels, KernelTable } from './kernels.ts';

const layout: BitLayout = { unitBytes: 4, lanes: false };

export const javascriptSource: KernelSource = {
  name: 'javascript',
  layout,
  async instantiate(bytes): Promise<Kernels> {
    const buffer = new ArrayBuffer(Math.ceil(bytes / 8) * 8);
    return { name: 'javascript', layout, memory: { buffer }, table: javascriptKernels(buffer) };
  },
};

/** All kernels on a memory; binary weights are in rows, pixels' bits in whole words of 32. */
export function javascriptKernels(buffer: ArrayBuffer): KernelTable {
  const memory = {
    bytes: new Uint8Array(buffer),
    starts: new Int16Array(buffer),
    words: new Int32Array(buffer),
    floats: new Float32Array(buffer),
  };
  const convRows = convBinary(memory);
  return {
    convTable: convRows,
    convPopcount: convRows,
    convReal: convReal(memory),
    blend: blend(memory),
    pool: pool(memory),
    mean: mean(memory),
    arrange: arrange(memory),
    spread: spread(memory),
    lay: lay(memory),
  };
}

interface Memory {
  readonly bytes: Uint8Array;
  readonly starts: Int16Array;
  readonly words: Int32Array;
  readonly floats: Float32Array;
}

/** Index of each field of a record. */
function fieldsOf<K extends DescriptorName>(
  name: K,
): Readonly<Record<(typeof descriptors)[K][number], number>> {
  const entries = descriptors[name].map((field, i) => [field, i]);
  return Object.fromEntries(entries) as Record<(typeof descriptors)[K][number], number>;
}

/** Bits set in a word: sums of neighbours, ever wider (Hacker's Delight 5-1). */
function bitCount(x: number): number {
  x -= (x >>> 1) & 0x55555555;
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function convBinary({ bytes, starts, words, floats }: Memory): Kernel {
  const at = fieldsOf('convBinary');
  return (descriptor) => {
    const d = descriptor >> 2;
    const rows = words[d + at.rows]!;
    const rowWords = words[d + at.rowBytes]! >> 2;
    const rowPitch = words[d + at.rowPitch]! >> 2;
    const weights = words[d + at.weights]! >> 2;
    const start = words[d + at.starts]! >> 1;
    const inverts = words[d + at.inverts]!;
    const channels = words[d + at.channels]!;
    const sums = words[d + at.sums]!;
    const terms = words[d + at.terms]!;
    for (let y = 0; y < words[d + at.height]!; y++) {
      for (let x = 0; x < words[d + at.width]!; x++) {
        const window = (words[d + at.source]! + y * words[d + at.stepY]! + x * words[d + at.stepX]!) >> 2;
        const dest = words[d + at.dest]! + y * words[d + at.destRow]! + x * words[d + at.destPixel]!;
        let weight = weights;
        let bits = 0;
        for (let channel = 0; channel < channels; channel++) {
          let mismatches = 0;
          let from = window;
          for (let row = 0; row < rows; row++) {
            for (let i = 0; i < rowWords; i++) mismatches += bitCount(words[from + i]! ^ words[weight++]!);
            from += rowPitch;
          }
          if (sums) {
            floats[(dest >> 2) + channel] = terms - 2 * mismatches;
            continue;
          }
          if (mismatches + starts[start + channel]! < 0) bits |= 1 << (channel & 7);
          if ((channel & 7) === 7 || channel === channels - 1) {
            bytes[dest + (channel >> 3)] = bits ^ bytes[inverts + (channel >> 3)]!;
            bits = 0;
          }
        }
      }
    }
  };
}

/** Sums in float64 and rounds once. */
function convReal({ words, floats }: Memory): Kernel {
  const at = fieldsOf('convReal');
  return (descriptor) => {
    const d = descriptor >> 2;
    const rows = words[d + at.rows]!;
    const rowPitch = words[d + at.rowPitch]! >> 2;
    const runs = words[d + at.runs]!;
    const runPitch = words[d + at.runPitch]! >> 2;
    const run = words[d + at.runBytes]! >> 2;
    const weights = words[d + at.weights]! >> 2;
    const start = words[d + at.starts]! >> 2;
    const elements = rows * runs * run;
    for (let y = 0; y < words[d + at.height]!; y++) {
      for (let x = 0; x < words[d + at.width]!; x++) {
        const window = (words[d + at.source]! + y * words[d + at.stepY]! + x * words[d + at.stepX]!) >> 2;
        const dest = (words[d + at.dest]! + y * words[d + at.destRow]! + x * words[d + at.destPixel]!) >> 2;
        for (let channel = 0; channel < words[d + at.channels]!; channel++) {
          let weight = weights + (channel >> 3) * elements * 8 + (channel & 7);
          let sum = floats[start + channel]!;
          for (let row = 0; row < rows; row++) {
            for (let r = 0; r < runs; r++) {
              const from = window + row * rowPitch + r * runPitch;
              for (let i = 0; i < run; i++) {
                sum += floats[from + i]! * floats[weight]!;
                weight += 8;
              }
            }
          }
          floats[dest + channel] = sum;
        }
      }
    }
  };
}

function blend({ bytes, words, floats }: Memory): Kernel {
  const at = fieldsOf('blend');
  return (descriptor) => {
    const d = descriptor >> 2;
    const channels = words[d + at.channels]!;
    const scale = words[d + at.scale]! >> 2;
    const bias = words[d + at.bias]! >> 2;
    const relu = words[d + at.relu]!;
    const adds = words[d + at.other]! !== 0;
    const stores = words[d + at.dest]! !== 0;
    const compares = words[d + at.bits]! !== 0;
    const thresholds = words[d + at.thresholds]! >> 2;
    const signs = words[d + at.signs]! >> 2;
    for (let y = 0; y < words[d + at.height]!; y++) {
      for (let x = 0; x < words[d + at.width]!; x++) {
        const source =
          (words[d + at.source]! + y * words[d + at.sourceRow]! + x * words[d + at.sourcePixel]!) >> 2;
        const other =
          (words[d + at.other]! + y * words[d + at.otherRow]! + x * words[d + at.otherPixel]!) >> 2;
        const dest = (words[d + at.dest]! + y * words[d + at.destRow]! + x * words[d + at.destPixel]!) >> 2;
        const toBits = words[d + at.bits]! + y * words[d + at.bitsRow]! + x * words[d + at.bitsPixel]!;
        let byte = 0;
        for (let channel = 0; channel < channels; channel++) {
          let v = floats[source + channel]!;
          if (scale) v = Math.fround(Math.fround(v * floats[scale + channel]!) + floats[bias + channel]!);
          if (relu) v = Math.max(v, 0);
          if (adds) v = Math.fround(v + floats[other + channel]!);
          if (stores) floats[dest + channel] = v;
          if (compares) {
            const turned = words[signs + channel] === 0 ? v : -v;
            if (turned >= floats[thresholds + channel]!) byte |= 1 << (channel & 7);
            if ((channel & 7) === 7 || channel === channels - 1) {
              bytes[toBits + (channel >> 3)] = byte;
              byte = 0;
            }
          }
        }
      }
    }
  };
}

function pool({ words, floats }: Memory): Kernel {
  const at = fieldsOf('pool');
  return (descriptor) => {
    const d = descriptor >> 2;
    const sourcePixel = words[d + at.sourcePixel]!;
    const sourceRow = words[d + at.sourceRow]!;
    const pixelBytes = words[d + at.pixelBytes]!;
    const inverts = words[d + at.inverts]!;
    for (let y = 0; y < words[d + at.height]!; y++) {
      const y0 = y * words[d + at.strideH]! - words[d + at.padH]!;
      const top = Math.max(0, y0);
      const bottom = Math.min(words[d + at.sourceHeight]!, y0 + words[d + at.kernelH]!);
      for (let x = 0; x < words[d + at.width]!; x++) {
        const x0 = x * words[d + at.strideW]! - words[d + at.padW]!;
        const left = Math.max(0, x0);
        const right = Math.min(words[d + at.sourceWidth]!, x0 + words[d + at.kernelW]!);
        const dest = words[d + at.dest]! + y * words[d + at.destRow]! + x * words[d + at.destPixel]!;
        for (let i = 0; i < pixelBytes; i += 4) {
          let best = -Infinity;
          let any = 0;
          for (let v = top; v < bottom; v++) {
            for (let u = left; u < right; u++) {
              const from = (words[d + at.source]! + v * sourceRow + u * sourcePixel + i) >> 2;
              if (inverts) any |= words[from]!;
              else best = Math.max(best, floats[from]!);
            }
          }
          if (inverts) words[(dest + i) >> 2] = any ^ words[(inverts + i) >> 2]!;
          else floats[(dest + i) >> 2] = best;
        }
      }
    }
  };
}

/** Sums in float64 in row-major order, rounded once. */
function mean({ words, floats }: Memory): Kernel {
  const at = fieldsOf('mean');
  return (descriptor) => {
    const d = descriptor >> 2;
    const width = words[d + at.width]!;
    const height = words[d + at.height]!;
    const dest = words[d + at.dest]! >> 2;
    for (let channel = 0; channel < words[d + at.channels]!; channel++) {
      let sum = 0;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const pixel = words[d + at.source]! + y * words[d + at.sourceRow]! + x * words[d + at.sourcePixel]!;
          sum += floats[(pixel >> 2) + channel]!;
        }
      }
      floats[dest + channel] = sum / (width * height);
    }
  };
}

function arrange({ words, floats }: Memory): Kernel {
  const at = fieldsOf('arrange');
  return (descriptor) => {
    const d = descriptor >> 2;
    const sourcePixel = words[d + at.sourcePixel]! >> 2;
    const destPixel = words[d + at.destPixel]! >> 2;
    for (let channel = 0; channel < words[d + at.channels]!; channel++) {
      for (let y = 0; y < words[d + at.height]!; y++) {
        let from =
          (words[d + at.source]! + channel * words[d + at.sourceChannel]! + y * words[d + at.sourceRow]!) >>
          2;
        let to =
          (words[d + at.dest]! + channel * words[d + at.destChannel]! + y * words[d + at.destRow]!) >> 2;
        for (let x = 0; x < words[d + at.width]!; x++) {
          floats[to] = floats[from]!;
          from += sourcePixel;
          to += destPixel;
        }
      }
    }
  };
}

function spread({ bytes, words, floats }: Memory): Kernel {
  const at = fieldsOf('spread');
  return (descriptor) => {
    const d = descriptor >> 2;
    let to = words[d + at.dest]! >> 2;
    for (let channel = 0; channel < words[d + at.channels]!; channel++) {
      for (let y = 0; y < words[d + at.height]!; y++) {
        for (let x = 0; x < words[d + at.width]!; x++) {
          const pixel = words[d + at.source]! + y * words[d + at.sourceRow]! + x * words[d + at.sourcePixel]!;
          floats[to++] = (bytes[pixel + (channel >> 3)]! >> (channel & 7)) & 1 ? 1 : -1;
        }
      }
    }
  };
}

/** Rows only: one output at a time. */
function lay({ bytes, words }: Memory): Kernel {
  const at = fieldsOf('lay');
  return (descriptor) => {
    const d = descriptor >> 2;
    const source = words[d + at.source]!;
    const shift = words[d + at.shift]!;
    const pixels = words[d + at.pixels]!;
    const channels = words[d + at.channels]!;
    const planar = words[d + at.planar]!;
    const pixelBytes = words[d + at.pixelBytes]!;
    const dest = words[d + at.dest]!;
    for (let pixel = 0; pixel < pixels; pixel++) {
      for (let channel = 0; channel < channels; channel++) {
        const bit = shift + (planar ? channel * pixels + pixel : pixel * channels + channel);
        if ((bytes[source + (bit >> 3)]! >> (bit & 7)) & 1) {
          bytes[dest + pixel * pixelBytes + (channel >> 3)]! |= 1 << (channel & 7);
        }
      }
    }
  };
}
