import type { BitLayout } from './kernels.ts';

/**
 * The beginning of every memory, which kernels take for granted (assembly/tile.ts has the same numbers): 16 bytes of
 * 0x0f, the tables of conv-table.ts, the i16 accumulators of two pixels and 64 channels. Address 0 stands for nothing.
 */
const lowNibbles = 16;
const pairTable = 32;
const accumulators = pairTable + 256 * 16;
export const reservedBytes = accumulators + 2 * 64 * 2;

/** Kernels may read so many bytes past the end of what they read, but write only where they should. */
export const slackBytes = 64;

/** Most products of a sum that i16 accumulators can compare with a limit. */
export const mostTerms = 32767;

/** Of SIMD kernels: single bytes, and the weights of 64 channels side by side, so that a vector has those of 16. */
export const simdLayout: BitLayout = { unitBytes: 1, lanes: true };

export function roundUp(size: number, multiple: number): number {
  return Math.ceil(size / multiple) * multiple;
}

/** Bytes of a pixel's bits. */
export function bitPixelBytes(channels: number, { unitBytes }: BitLayout): number {
  return roundUp(Math.ceil(channels / 8), unitBytes);
}

/** Bytes of a pixel's reals, as kernels write them. */
export function realPixelBytes(channels: number): number {
  return 4 * roundUp(channels, 4);
}

/** Writes what the reserved part holds. Entry i of table a + 16 b: mismatches of i with a, and 16 times those with b. */
export function writeReserved(bytes: Uint8Array): void {
  const counts = [0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4];
  bytes.fill(15, lowNibbles, lowNibbles + 16);
  for (let pair = 0; pair < 256; pair++) {
    for (let i = 0; i < 16; i++) {
      bytes[pairTable + 16 * pair + i] = counts[i ^ (pair & 15)]! + 16 * counts[i ^ (pair >> 4)]!;
    }
  }
}
