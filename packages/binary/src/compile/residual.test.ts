import { random, tensor } from '@tierwise/core';
import { GraphBuilder, type Value, writeOnnx } from '@tierwise/graph';
import fc from 'fast-check';
import ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { readProgram } from '../file.ts';
import { runReference } from '../reference.ts';
import { compileBranch } from './branch.ts';

/** Two blocks with a real-valued running sum, the second halving the map through a binary 1x1 shortcut. */
function residualNet(seed: number, c: number, size: number) {
  const r = random(seed);
  const b = new GraphBuilder('residual');
  const constant = (name: string, dims: number[], value: () => number) =>
    b.initializer(
      name,
      tensor('float32', dims, Float32Array.from({ length: dims.reduce((a, d) => a * d, 1) }, value)),
    );
  const signs = (name: string, dims: number[]) => constant(name, dims, () => (r.uniform() < 0.5 ? -1 : 1));
  const affine = (x: Value, name: string, channels: number) =>
    b.add(
      b.mul(
        x,
        constant(`${name}.s`, [1, channels, 1, 1], () => r.normal()),
      ),
      constant(`${name}.b`, [1, channels, 1, 1], () => r.normal()),
    );
  const conv = (
    x: Value,
    name: string,
    [from, to]: [number, number],
    kernel: number,
    stride: number,
    sums: Value[],
  ) => {
    const pad = (kernel - 1) / 2;
    const input = pad === 0 ? x : b.op('Pad', [x, b.ints(0, 0, pad, pad, 0, 0, pad, pad), b.scalar(-1)]);
    const y = b.op('Conv', [input, signs(`${name}.w`, [to, from, kernel, kernel])], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
    });
    sums.push(y);
    return b.mul(
      y,
      constant(`${name}.alpha`, [1, to, 1, 1], () => Math.abs(r.normal()) + 0.01),
    );
  };
  const sums: Value[] = [];
  const x = b.input('x', 'float32', ['N', c, size, size]);
  const bits1 = b.sign(affine(x, 'n1', c));
  const one = b.add(
    conv(b.sign(affine(conv(bits1, 'c1', [c, c], 3, 1, sums), 'n2', c)), 'c2', [c, c], 3, 1, sums),
    x,
    'one',
  );
  const bits2 = b.sign(affine(one, 'n3', c));
  const two = b.add(
    conv(
      b.sign(affine(conv(bits2, 'c3', [c, 2 * c], 3, 2, sums), 'n4', 2 * c)),
      'c4',
      [2 * c, 2 * c],
      3,
      1,
      sums,
    ),
    conv(bits2, 'down', [c, 2 * c], 1, 2, sums),
    'two',
  );
  const pooled = b.op('Flatten', [b.op('GlobalAveragePool', [b.relu(affine(two, 'n5', 2 * c))])], {
    axis: 1,
  });
  b.output(
    b.gemm(
      pooled,
      constant('fc', [4, 2 * c], () => r.normal()),
      { transB: 1, c: constant('fc.b', [4], () => r.normal()) },
    ),
    'float32',
    ['N', 4],
    'scores',
  );
  return { b, sums };
}

test("running sums equal onnxruntime's bit for bit through two residual blocks, scores within rounding", () =>
  fc.assert(
    fc.asyncProperty(
      fc.nat(2 ** 31),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 2, max: 9 }),
      async (seed, c, size) => {
        const { b } = residualNet(seed, c, size);
        const program = compileBranch(b.model, { input: 'x', outputs: ['one', 'two', 'scores'] });
        for (const [name, dims] of [
          ['one', 4],
          ['two', 4],
        ] as const)
          b.output(
            name,
            'float32',
            Array.from({ length: dims }, (_, i) => `d${i}`),
          );
        const session = await ort.InferenceSession.create(writeOnnx(b.model), {
          graphOptimizationLevel: 'disabled',
          logSeverityLevel: 4,
        });
        const r = random(seed, 1);
        const input = Float32Array.from({ length: c * size * size }, () => r.normal());
        const expected = await session.run({ x: new ort.Tensor('float32', input, [1, c, size, size]) });
        await session.release();
        const loaded = readProgram(program);
        const values = runReference(loaded, input);
        const found = (name: string) =>
          Array.from(values[loaded.program.outputs.find((o) => o.tensor === name)!.value]!);
        // + 0: onnxruntime may give -0 where a program gives 0; they compare equal.
        for (const name of ['one', 'two'])
          expect(found(name).map((v) => v + 0)).toEqual(
            Array.from(expected[name]!.data as Float32Array, (v) => v + 0),
          );
        const scores = found('scores');
        for (const [i, value] of (expected['scores']!.data as Float32Array).entries())
          expect(Math.abs(scores[i]! - value)).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
      },
    ),
    { numRuns: 40 },
  ));

test('adding what cannot be added is refused', () => {
  const b = new GraphBuilder('no');
  const x = b.input('x', 'float32', ['N', 2, 4, 4]);
  b.output(b.add(b.sign(x), x), 'float32', ['N', 2, 4, 4], 'y');
  expect(() => compileBranch(b.model, { input: 'x', outputs: ['y'] })).toThrow(
    expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }),
  );
});
