import type { BitLayout } from './kernels.ts';

/** The beginning of every memory belongs to the kernels (assembly/tile.ts). Address 0 stands for nothing. */
export const reservedBytes = 4384;

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
