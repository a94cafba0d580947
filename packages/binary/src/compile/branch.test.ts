import { type Random, random, tensor } from '@tierwise/core';
import { GraphBuilder, type ModelProto, type Value } from '@tierwise/graph';
import type { Digest, Section } from '@tierwise/plan';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type RandomNetwork, randomNetwork, runOnnx } from '../../test/networks.ts';
import { binaryEngine } from '../engine.ts';
import { readProgram } from '../file.ts';
import { programSummary } from '../summary.ts';
import { compileBranch } from './branch.ts';

function section(outputs: readonly string[], dims: readonly number[]): Section {
  return {
    id: 'branch',
    place: 'device',
    engine: 'binary',
    artifact: '0'.repeat(64) as Digest,
    inputs: [{ tensor: 'pixels', dims: [1, ...dims.slice(1)] }],
    outputs: outputs.map((name) => ({ tensor: name, dims: [1] })),
    model: 'branch',
  };
}

async function runProgram(
  file: Uint8Array,
  outputs: readonly string[],
  { pixels }: Pick<RandomNetwork, 'pixels'>,
) {
  const loaded = await binaryEngine().load(file, section(outputs, pixels.dims));
  return loaded.run(new Map([['pixels', tensor('float32', pixels.dims, pixels.data)]]));
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

test('random networks give the bits, sums and stem of onnxruntime, and its logits within 1e-4', async () => {
  let ones = 0;
  let minusOnes = 0;
  await fc.assert(
    fc.asyncProperty(seeds, async (seed) => {
      const network = randomNetwork(seed);
      const names = [...network.exact, network.logits];
      const expected = await runOnnx(network, names);
      const file = compileBranch(network.model, { input: 'pixels', outputs: names });
      const found = await runProgram(file, names, network);
      for (const name of network.exact) {
        expect(found.get(name)!.dims).toEqual(expected.get(name)!.dims);
        // + 0 makes -0 and 0 the same number, which they are.
        const zero = (values: ArrayLike<number>) => Float32Array.from(values, (x) => x + 0);
        expect(zero(found.get(name)!.data as Float32Array), name).toEqual(zero(expected.get(name)!.data));
        if (name.startsWith('where')) {
          for (const bit of expected.get(name)!.data) bit > 0 ? ones++ : minusOnes++;
        }
      }
      const logits = found.get(network.logits)!;
      expect(logits.dims).toEqual([2, 10]);
      expected.get(network.logits)!.data.forEach((x, i) => {
        expect(Math.abs((logits.data as Float32Array)[i]! - x)).toBeLessThanOrEqual(
          1e-4 * Math.max(1, Math.abs(x)),
        );
      });
    }),
    { numRuns: 80 },
  );
  // Signs that were nearly all alike would prove little.
  expect(Math.min(ones, minusOnes) / (ones + minusOnes)).toBeGreaterThan(0.2);
});

/** Writes constants of a network with random numbers in them. */
function constants(b: GraphBuilder, n: Random) {
  let count = 0;
  return (dims: readonly number[], one: () => number = () => n.normal()): Value => {
    const length = dims.reduce((x, y) => x * y, 1);
    return b.initializer(`w${++count}`, tensor('float32', dims, Float32Array.from({ length }, one)));
  };
}

function randomPixels(n: Random, ...dims: readonly number[]) {
  const data = Float32Array.from({ length: dims.reduce((x, y) => x * y, 1) }, () => n.below(256));
  return { dims, data };
}

/** The LeNet composite's stem and branch with random weights, as the training room writes it. */
function lenet(): { model: ModelProto; n: Random } {
  const n = random(3);
  const b = new GraphBuilder('lenet');
  let count = 0;
  const constant = constants(b, n);
  const norm = (x: Value, c: number, scale: number) =>
    b.add(
      b.mul(
        x,
        constant([1, c, 1, 1], () => scale * (0.5 + n.uniform())),
      ),
      constant([1, c, 1, 1]),
    );
  const pool = (x: Value) => b.op('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
  const signs = (...dims: number[]) => {
    const data = Int8Array.from({ length: dims.reduce((x, y) => x * y, 1) }, () => 2 * n.below(2) - 1);
    return b.op('Cast', [b.initializer(`signs${++count}`, tensor('int8', dims, data))], { to: 1 });
  };
  const conv = { kernel_shape: [5, 5] };

  let x = b.input('pixels', 'float32', ['N', 1, 28, 28]);
  x = pool(b.op('Conv', [x, constant([20, 1, 5, 5], () => n.below(5263) - 2631)], conv));
  const stem = b.op('Identity', [b.relu(norm(x, 20, 1e-6))], {}, 'stem');
  let y = b.sign(norm(stem, 20, 1));
  y = b.sign(norm(pool(b.op('Conv', [y, signs(50, 20, 5, 5)], conv)), 50, 0.05));
  y = b.gemm(b.op('Flatten', [y], { axis: 1 }), signs(500, 800), { transB: 1 });
  y = b.relu(
    b.add(
      b.mul(
        y,
        constant([1, 500], () => 0.04 * (0.5 + n.uniform())),
      ),
      constant([1, 500]),
    ),
  );
  y = b.gemm(
    y,
    constant([10, 500], () => n.normal() / 22),
    { transB: 1, c: constant([10]) },
  );
  b.op('Identity', [y], {}, 'scores');
  b.output('stem', 'float32', ['N', 20, 12, 12]);
  b.output('scores', 'float32', ['N', 10]);
  return { model: b.model, n };
}

const lenetOutputs = { input: 'pixels', outputs: ['stem', 'scores'] };

test('the LeNet composite runs as onnxruntime runs it, in about 76 kB', async () => {
  const { model, n } = lenet();
  const file = compileBranch(model, lenetOutputs);
  const network = { model, pixels: randomPixels(n, 3, 1, 28, 28) };
  const expected = await runOnnx(network, lenetOutputs.outputs);
  const found = await runProgram(file, lenetOutputs.outputs, network);
  expect(found.get('stem')!.data).toEqual(expected.get('stem')!.data);
  expected.get('scores')!.data.forEach((x, i) => {
    expect(Math.abs((found.get('scores')!.data as Float32Array)[i]! - x)).toBeLessThan(1e-4);
  });
  const summary = programSummary(readProgram(file));
  expect(summary.ops.map(({ kind }) => kind).join(' ')).toBe(
    'convReal maxPool affine binarize convBinary maxPool binarize denseBinary affine denseReal',
  );
  expect(summary.binaryMacs).toBe(50 * 64 * 500 + 500 * 800);
  // Weights of 500 pixels x 2, (25,000 + 400,000) bits, thresholds 20 x 4 and 50 x 2, real ends.
  expect(summary.weightBytes).toBe(1000 + 160 + 80 + 3125 + 100 + 50_000 + 4000 + 20_040);
  expect(file.length - summary.weightBytes).toBeLessThan(3200);
});

test('half precision takes the ends only, and changes the scores by a rounding of theirs', async () => {
  const { model, n } = lenet();
  const full = compileBranch(model, lenetOutputs);
  const half = compileBranch(model, { ...lenetOutputs, halfPrecisionEnds: true });
  const dtypes = readProgram(half).stored.map(({ name, dtype }) => `${name} ${dtype}`);
  expect(dtypes.filter((text) => text.endsWith('float16')).sort()).toEqual([
    '10.bias float16',
    '10.weights float16',
    '9.bias float16',
    '9.scale float16',
  ]);
  expect(full.length - half.length).toBeGreaterThan(12_000);
  const network = { pixels: randomPixels(n, 1, 1, 28, 28) };
  const [exact, rounded] = [
    await runProgram(full, lenetOutputs.outputs, network),
    await runProgram(half, lenetOutputs.outputs, network),
  ];
  expect(rounded.get('stem')).toEqual(exact.get('stem'));
  expect(rounded.get('scores')).not.toEqual(exact.get('scores'));
  (exact.get('scores')!.data as Float32Array).forEach((x, i) => {
    expect(Math.abs((rounded.get('scores')!.data as Float32Array)[i]! - x)).toBeLessThan(0.02);
  });
});

test('ends that float16 cannot hold stay float32', () => {
  const b = new GraphBuilder('test');
  const x = b.sign(b.input('pixels', 'float32', ['N', 4]));
  const sums = b.gemm(x, b.initializer('signs', tensor('float32', [1, 4], Float32Array.of(1, 1, -1, 1))), {
    transB: 1,
  });
  b.mul(sums, b.scalar(1e-7), 'y');
  const file = compileBranch(b.model, { input: 'pixels', outputs: ['y'], halfPrecisionEnds: true });
  expect(readProgram(file).tensors.get('3.scale')!.data).toEqual(Float32Array.of(1e-7));
  expect(readProgram(file).stored.find(({ name }) => name === '3.scale')!.dtype).toBe('float32');
});

/** One convolution of whole numbers, then what `write` makes of it, then a sign. */
function folded(write: (b: GraphBuilder, x: Value, constant: ReturnType<typeof constants>) => Value) {
  const n = random(8);
  const b = new GraphBuilder('test');
  const constant = constants(b, n);
  const pixels = b.input('pixels', 'float32', ['N', 1, 9, 9]);
  const x = b.op('Conv', [pixels, constant([6, 1, 3, 3], () => n.below(9) - 4)], { kernel_shape: [3, 3] });
  const y = write(b, x, constant);
  const bits = b.sign(y);
  b.output(y, 'float32', ['N', 6, 7, 7]);
  b.output(bits, 'float32', ['N', 6, 7, 7]);
  return { network: { model: b.model, pixels: randomPixels(n, 2, 1, 9, 9) }, y, bits };
}

async function foldedBits(write: Parameters<typeof folded>[0]) {
  const { network, bits } = folded(write);
  const file = compileBranch(network.model, { input: 'pixels', outputs: [bits] });
  return {
    expected: (await runOnnx(network, [bits])).get(bits)!.data,
    found: (await runProgram(file, [bits], network)).get(bits)!.data,
    ops: readProgram(file).program.ops.map(({ kind }) => kind),
  };
}

test('a long chain of Mul, Add, Sub and a bias becomes one threshold', async () => {
  const { expected, found, ops } = await foldedBits((b, x, constant) => {
    const scaled = b.sub(b.mul(b.add(x, constant([6, 1, 1])), constant([1, 6, 1, 1])), b.scalar(3));
    return b.sub(constant([1, 6, 1, 1]), b.mul(scaled, constant([])));
  });
  expect(found).toEqual(expected);
  expect(new Set(expected).size).toBe(2);
  expect(ops).toEqual(['convReal', 'binarize']);
});

test('batch norm is folded to the numbers of onnxruntime within two roundings', async () => {
  const { network, y } = folded((b, x, constant) => {
    const parts = [constant([6]), constant([6]), constant([6], () => 30), constant([6], () => 500)];
    return b.op('BatchNormalization', [x, ...parts], { epsilon: { float: 1e-3 } });
  });
  const file = compileBranch(network.model, { input: 'pixels', outputs: [y] });
  const expected = (await runOnnx(network, [y])).get(y)!.data;
  const found = (await runProgram(file, [y], network)).get(y)!.data as Float32Array;
  const largest = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  found.forEach((x, i) => {
    expect(Math.abs(x - expected[i]!)).toBeLessThan(largest * 2 ** -21);
  });
});

test('the shape that a Flatten of PyTorch computes is not part of the branch', () => {
  const b = new GraphBuilder('test');
  const x = b.input('pixels', 'float32', ['N', 2, 3, 3]);
  const batch = b.op('Gather', [b.op('Shape', [x]), b.ints(0)]);
  b.op('Reshape', [b.sign(x), b.concat([batch, b.ints(-1)], 0)], {}, 'flat');
  const { program } = readProgram(compileBranch(b.model, { input: 'pixels', outputs: ['flat'] }));
  expect(program.outputs).toEqual([{ tensor: 'flat', value: 1, dims: [1, 18] }]);
});

test('what an output depends on is all that must be known', () => {
  const b = new GraphBuilder('test');
  const x = b.relu(b.input('pixels', 'float32', ['N', 2]), 'x');
  b.op('Sigmoid', [x], {}, 'elsewhere');
  const { program } = readProgram(compileBranch(b.model, { input: 'pixels', outputs: ['x'] }));
  expect(program.ops.map(({ kind }) => kind)).toEqual(['affine']);
});
