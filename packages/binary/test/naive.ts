/**
 * Convolution, pooling and dense layers straight from their definitions, on real numbers: a padded copy of the
 * input, then one sum or maximum per output. It shares nothing with the reference interpreter but the layout.
 */
import type { Random } from '@tierwise/core';
import type { Shape, Window } from '../src/program.ts';

/** x padded with `value` on both sides: rows of each channel. */
function padded(
  x: ArrayLike<number>,
  { c, h, w }: Shape,
  { padH, padW }: Window,
  value: number,
): number[][][] {
  return Array.from({ length: c }, (_, channel) =>
    Array.from({ length: h + 2 * padH }, (_, row) =>
      Array.from({ length: w + 2 * padW }, (_, column) => {
        const y = row - padH;
        const z = column - padW;
        return y < 0 || y >= h || z < 0 || z >= w ? value : x[channel * h * w + y * w + z]!;
      }),
    ),
  );
}

/** All elements of each window in order [c][ky][kx], for every output position in row-major order. */
function windows(planes: readonly number[][][], window: Window): number[][] {
  const rows = planes[0]!.length;
  const columns = planes[0]![0]!.length;
  const found: number[][] = [];
  for (let y = 0; y + window.kernelH <= rows; y += window.strideH) {
    for (let x = 0; x + window.kernelW <= columns; x += window.strideW) {
      found.push(
        planes.flatMap((plane) =>
          plane.slice(y, y + window.kernelH).flatMap((row) => row.slice(x, x + window.kernelW)),
        ),
      );
    }
  }
  return found;
}

export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

/** `weights` [k][c*kernelH*kernelW]. */
export function naiveConv(
  x: ArrayLike<number>,
  shape: Shape,
  window: Window,
  weights: readonly number[][],
  padding: number,
): number[] {
  const all = windows(padded(x, shape, window, padding), window);
  return weights.flatMap((kernel) => all.map((elements) => dot(elements, kernel)));
}

export function naivePool(x: ArrayLike<number>, shape: Shape, window: Window): number[] {
  return padded(x, shape, window, -Infinity).flatMap((plane) =>
    windows([plane], window).map((elements) => Math.max(...elements)),
  );
}

export function draw<T>(length: number, one: () => T): T[] {
  return Array.from({ length }, one);
}

export const plusMinus = (stream: Random) => () => (stream.below(2) ? 1 : -1);

/** A window that fits `shape`, with a padding smaller than the kernel. */
export function drawWindow(shape: Shape, stream: Random): Window {
  const kernelH = 1 + stream.below(Math.min(5, shape.h));
  const kernelW = 1 + stream.below(Math.min(5, shape.w));
  return {
    kernelH,
    kernelW,
    strideH: 1 + stream.below(3),
    strideW: 1 + stream.below(3),
    padH: stream.below(kernelH),
    padW: stream.below(kernelW),
  };
}

export function drawShape(stream: Random): Shape {
  return { c: 1 + stream.below(19), h: 1 + stream.below(9), w: 1 + stream.below(9) };
}
