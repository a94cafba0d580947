import { fromFloat16, random, tensor, toFloat16 } from '@tierwise/core';
import { GraphBuilder } from '@tierwise/graph';
import { expect, test } from 'vitest';
import { readProgram } from '../file.ts';
import { programSummary } from '../summary.ts';
import { compileBranch } from './branch.ts';

/** A dense layer on six numbers with these weights. */
function compiled(weights: Float32Array<ArrayBuffer>) {
  const b = new GraphBuilder('dense');
  const x = b.input('x', 'float32', ['N', 6]);
  const w = b.initializer('w', tensor('float32', [weights.length / 6, 6], weights));
  b.output(b.gemm(x, w, { transB: 1 }), 'float32', ['N', weights.length / 6], 'y');
  return readProgram(compileBranch(b.model, { input: 'x', outputs: ['y'] }));
}

test('dense weights that are whole multiples of a float16 step are stored in 8 bits and come back exactly', () => {
  const r = random(4);
  const steps = fromFloat16(toFloat16(Float32Array.of(0.01, 3.7, 0.0004)));
  const weights = Float32Array.from(
    { length: 18 },
    (_, i) => (i % 6 === 0 ? -127 : r.below(255) - 127) * steps[Math.floor(i / 6)]!,
  );
  const loaded = compiled(weights);
  expect(loaded.stored.find(({ name }) => name === '1.weights')).toMatchObject({
    dtype: 'int8',
    dims: [3, 6],
  });
  expect(loaded.tensors.get('1.weights')!.data).toEqual(weights);
  expect(programSummary(loaded).realMacs).toBe(18);
});

test('a row of zeros is a row of zeros, and weights that are no such multiples stay float32', () => {
  const zeros = compiled(new Float32Array(6));
  expect(zeros.stored.find(({ name }) => name === '1.weights')).toMatchObject({ dtype: 'int8' });
  expect(zeros.tensors.get('1.weights')!.data).toEqual(new Float32Array(6));
  const r = random(5);
  const any = Float32Array.from({ length: 6 }, () => r.normal());
  expect(compiled(any).stored.find(({ name }) => name === '1.weights')).toMatchObject({ dtype: 'float32' });
});
