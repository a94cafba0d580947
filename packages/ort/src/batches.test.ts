import { type Tensor, tensor } from '@tierwise/core';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';
import type { Digest, Section } from '@tierwise/plan';
import { afterEach, describe, expect, it } from 'vitest';
import { smallGraph } from '../test/graphs.ts';
import { join, split } from './batches.ts';
import { type OnnxEngine, onnxEngine } from './engine.ts';

const section: Section = {
  id: 'part',
  place: 'edge',
  engine: 'onnx',
  artifact: '0'.repeat(64) as Digest,
  inputs: [{ tensor: 'x', dims: [1, 3] }],
  outputs: [{ tensor: 'z', dims: [1, 3] }],
  model: 'm',
};

/** z = x minus what `shift` makes of x. */
function graph(shift: (b: GraphBuilder, x: string) => string): Uint8Array {
  const b = new GraphBuilder('g');
  const x = b.input('x', 'float32', ['N', 3]);
  b.output(b.op('Sub', [x, shift(b, x)], {}, 'z'), 'float32', ['N', 3]);
  return writeOnnx(b.model);
}

const sample = (value: number, n = 1): Map<string, Tensor> =>
  new Map([['x', tensor('float32', [n, 3], new Float32Array(3 * n).fill(value))]]);

let engine: OnnxEngine | undefined;
afterEach(() => engine?.dispose());

/** Runs `count` samples at once; gives the first element of each answer, and how many samples each run held. */
async function runAtOnce(model: Uint8Array, count: number): Promise<{ first: number[]; held: number[] }> {
  const held: number[] = [];
  engine = onnxEngine({ maxBatch: 8, onRun: (samples) => held.push(samples) });
  const loaded = await engine.load(model, section);
  const answers = await Promise.all(Array.from({ length: count }, (_, i) => loaded.run(sample(i))));
  return { first: answers.map((answer) => Number(answer.get('z')!.data[0])), held };
}

describe('runs that wait together', () => {
  it('are joined up to the limit, and each gets its own answer', async () => {
    const { first, held } = await runAtOnce(smallGraph(), 20);
    expect(first).toEqual(Array.from({ length: 20 }, (_, i) => 2 * i + 1));
    expect(held).toEqual([8, 8, 4]);
  });

  it('are not joined by a model that looks at other samples', async () => {
    const { first, held } = await runAtOnce(
      graph((b, x) => b.mean(x, [0, 1])),
      5,
    );
    expect(first).toEqual([0, 0, 0, 0, 0]);
    expect(held).toEqual([1, 1, 1, 1, 1]);
  });

  it('are not joined by a model that takes one sample only', async () => {
    const { first, held } = await runAtOnce(
      graph((b, x) => b.op('Reshape', [x, b.ints(1, 3)])),
      5,
    );
    expect(first).toEqual([0, 0, 0, 0, 0]);
    expect(held).toEqual([1, 1, 1, 1, 1]);
  });

  it('may hold several samples each', async () => {
    engine = onnxEngine({ maxBatch: 8 });
    const loaded = await engine.load(smallGraph(), section);
    const answers = await Promise.all([1, 2, 9, 3].map((n) => loaded.run(sample(n, n))));
    expect(answers.map((answer) => answer.get('z')!.dims)).toEqual([1, 2, 9, 3].map((n) => [n, 3]));
    expect(answers.map((answer) => answer.get('z')!.data.at(-1))).toEqual([3, 5, 19, 7]);
  });
});

it('splits what it joins, and refuses outputs without a batch', () => {
  const runs = [sample(1), sample(2, 3), sample(5, 2)];
  expect(split(join(runs), [1, 3, 2])).toEqual(runs);
  expect(() => split(sample(1, 3), [1, 1])).toThrow(RangeError);
});
