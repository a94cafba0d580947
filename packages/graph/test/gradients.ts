import { random, type Tensor, tensor } from '@tierwise/core';
import fc from 'fast-check';
import ort from 'onnxruntime-node';
import { expect } from 'vitest';
import { differentiate } from '../src/autodiff/index.ts';
import { GraphBuilder, type Value } from '../src/builder.ts';
import { writeOnnx } from '../src/model.ts';
import { inferShapes } from '../src/shapes.ts';

/** A function under test: inputs to differentiate, with their shapes and values, and how to compute y from them. */
export interface Case {
  readonly inputs: Readonly<Record<string, { dims: readonly number[]; values: Float32Array }>>;
  readonly build: (b: GraphBuilder, inputs: Record<string, Value>) => Value;
}

export const count = (dims: readonly number[]) => dims.reduce((a, d) => a * d, 1);
export const seeds = fc.integer({ min: 0, max: 2 ** 31 });

export function smooth(seed: number, dims: readonly number[], shift = 0): Float32Array {
  const r = random(seed, count(dims));
  return Float32Array.from({ length: count(dims) }, () => r.normal() + shift);
}

/** Distinct values a good distance apart and away from 0, so that no kink lies within the finite difference. */
export function spaced(seed: number, dims: readonly number[]): Float32Array {
  const n = count(dims);
  const r = random(seed, n, 1);
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = r.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return Float32Array.from(order, (i) => ((i + 0.6) / n) * 4 - 2);
}

export async function run(model: Uint8Array, feeds: Record<string, Tensor>, names: readonly string[]) {
  const session = await ort.InferenceSession.create(model, {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
  });
  const outputs = await session.run(
    Object.fromEntries(
      Object.entries(feeds).map(([name, t]) => [
        name,
        new ort.Tensor(t.dtype, t.data as Float32Array, t.dims),
      ]),
    ),
    [...names],
  );
  await session.release();
  return (name: string) => outputs[name]!.data as Float32Array;
}

/**
 * Compares the gradient of L = sum(r * y), r random, along a random direction d with (L(x + h d) - L(x - h d)) / 2h.
 * L is summed in float64 from the y that onnxruntime computes. The error bound is on the scale of |gradient| |d|.
 */
export async function check(
  { inputs, build }: Case,
  seed: number,
  options: { h?: number; tolerance?: number } = {},
): Promise<void> {
  const h = options.h ?? 1e-3;
  const b = new GraphBuilder('case');
  const values = Object.fromEntries(
    Object.entries(inputs).map(([name, { dims }]) => [name, b.input(name, 'float32', dims)]),
  );
  const y = build(b, values);
  const yDims = inferShapes(b.model).get(y)!.dims;
  const weights = b.input('r', 'float32', yDims);
  const loss = b.op('ReduceSum', [b.mul(y, weights)], { keepdims: 0 });
  const gradients = differentiate(b, loss, Object.keys(inputs));
  b.output(y, 'float32', yDims, 'result');
  for (const [name, gradient] of gradients) b.output(gradient, 'float32', inputs[name]!.dims, `d.${name}`);
  const model = writeOnnx(b.model);

  const r = smooth(seed + 1, yDims);
  const feeds = (shift: number): Record<string, Tensor> => ({
    r: tensor('float32', yDims, r as Float32Array<ArrayBuffer>),
    ...Object.fromEntries(
      Object.entries(inputs).map(([name, { dims, values: x }]) => [
        name,
        tensor(
          'float32',
          dims,
          x.map((v, i) => v + shift * h * directions[name]![i]!) as Float32Array<ArrayBuffer>,
        ),
      ]),
    ),
  });
  const directions = Object.fromEntries(
    Object.entries(inputs).map(([name, { dims }], i) => [
      name,
      smooth(seed + 7 * i + 2, dims).map(Math.sign),
    ]),
  );
  const names = Object.keys(inputs).map((name) => `d.${name}`);
  const total = (data: Float32Array) => data.reduce((sum, v, i) => sum + v * r[i]!, 0);
  const get = await run(model, feeds(0), ['result', ...names]);
  const up = total((await run(model, feeds(1), ['result']))('result'));
  const down = total((await run(model, feeds(-1), ['result']))('result'));
  let analytic = 0;
  let scale = 1e-3;
  for (const name of Object.keys(inputs)) {
    const g = get(`d.${name}`);
    expect(g.length).toBe(count(inputs[name]!.dims));
    for (const [i, v] of g.entries()) {
      analytic += v * directions[name]![i]!;
      scale += v * v;
    }
  }
  const error = Math.abs(analytic - (up - down) / (2 * h)) / Math.sqrt(scale);
  expect(error, `analytic ${analytic}, numeric ${(up - down) / (2 * h)}`).toBeLessThan(
    options.tolerance ?? 0.02,
  );
}
