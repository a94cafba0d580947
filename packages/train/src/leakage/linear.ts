import { tensor } from '@tierwise/core';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import { featureChannels, type Grid, targetChannels } from './grid.ts';

/** What an inverter learns from: pairs on the grid, [samples, featureChannels | targetChannels, rows, columns]. */
export interface Pairs {
  readonly samples: number;
  readonly features: Float32Array;
  readonly targets: Float32Array;
}

/** Side of the window that a linear inverter sees; many channels leave room for a smaller one only. */
export function windowSide(grid: Grid): number {
  if (grid.stem[1] === 1 && grid.stem[2] === 1) return 1;
  return featureChannels(grid) <= 32 ? 5 : 3;
}

/** Rows of windows that are multiplied at once. */
const mostNumbers = 2 ** 22;
/** Of the mean square of a feature: keeps the equations solvable where features depend on each other. */
const ridge = 1e-5;

/**
 * Weights [targetChannels, featureChannels, side, side] of the linear inverter: each pixel from the window around its
 * cell, the same everywhere. Ridge regression in closed form, W = (XᵀX + lI)⁻¹ XᵀY; a bias is among the features.
 */
export async function fitLinear(grid: Grid, pairs: Pairs, threads: number): Promise<Float32Array> {
  const side = windowSide(grid);
  const outs = targetChannels(grid);
  const cells = grid.rows * grid.columns;
  const width = featureChannels(grid) * side * side;
  const b = new GraphBuilder('gram');
  const x = b.input('x', 'float32', ['rows', width]);
  const transposed = b.transpose(x, [1, 0]);
  b.output(b.op('MatMul', [transposed, x]), 'float32', [width, width], 'gram');
  const y = b.input('y', 'float32', ['rows', outs]);
  b.output(b.op('MatMul', [transposed, y]), 'float32', [width, outs], 'product');
  const session = await openSession(writeOnnx(b.model), { threads });
  const gram = new Float64Array(width * width);
  const product = new Float64Array(width * outs);
  try {
    const together = Math.max(1, Math.floor(mostNumbers / (cells * width)));
    for (let from = 0; from < pairs.samples; from += together) {
      const samples = Math.min(together, pairs.samples - from);
      const windows = new Float32Array(samples * cells * width);
      const wanted = new Float32Array(samples * cells * outs);
      for (let i = 0; i < samples; i++) {
        windowsOf(grid, pairs.features, from + i, side, windows.subarray(i * cells * width));
        for (let o = 0; o < outs; o++)
          for (let cell = 0; cell < cells; cell++)
            wanted[(i * cells + cell) * outs + o] = pairs.targets[((from + i) * outs + o) * cells + cell]!;
      }
      const rows = samples * cells;
      const sums = await session.run({
        x: tensor('float32', [rows, width], windows),
        y: tensor('float32', [rows, outs], wanted),
      });
      addTo(gram, sums.get('gram')!.data as Float32Array);
      addTo(product, sums.get('product')!.data as Float32Array);
    }
  } finally {
    await session.dispose();
  }
  let trace = 0;
  for (let i = 0; i < width; i++) trace += gram[i * width + i]!;
  for (let i = 0; i < width; i++) gram[i * width + i]! += (ridge * trace) / width + 1e-9;
  const solved = solve(gram, product, width, outs);
  return Float32Array.from(
    { length: width * outs },
    (_, i) => solved[(i % width) * outs + Math.floor(i / width)]!,
  );
}

function addTo(sum: Float64Array, part: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
}

/** The windows of one sample, [cells, featureChannels * side * side]; beyond the grid they are 0. */
function windowsOf(grid: Grid, all: Float32Array, sample: number, side: number, into: Float32Array): void {
  const { rows, columns } = grid;
  const channels = featureChannels(grid);
  const plane = rows * columns;
  const reach = (side - 1) / 2;
  let at = 0;
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++)
      for (let c = 0; c < channels; c++)
        for (let dy = -reach; dy <= reach; dy++)
          for (let dx = -reach; dx <= reach; dx++, at++) {
            const [fy, fx] = [y + dy, x + dx];
            if (fy >= 0 && fy < rows && fx >= 0 && fx < columns)
              into[at] = all[(sample * channels + c) * plane + fy * columns + fx]!;
          }
}

/** Solves A W = B for a symmetric positive definite A [n, n] and B [n, m] by Cholesky; both are overwritten. */
export function solve(a: Float64Array, b: Float64Array, n: number, m: number): Float64Array {
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= a[i * n + k]! * a[j * n + k]!;
      a[i * n + j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / a[j * n + j]!;
    }
  for (let c = 0; c < m; c++) {
    for (let i = 0; i < n; i++) {
      let sum = b[i * m + c]!;
      for (let k = 0; k < i; k++) sum -= a[i * n + k]! * b[k * m + c]!;
      b[i * m + c] = sum / a[i * n + i]!;
    }
    for (let i = n - 1; i >= 0; i--) {
      let sum = b[i * m + c]!;
      for (let k = i + 1; k < n; k++) sum -= a[k * n + i]! * b[k * m + c]!;
      b[i * m + c] = sum / a[i * n + i]!;
    }
  }
  return b;
}
