import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromBytes, tensor } from '@tierwise/core';
import type { Section } from '@tierwise/plan';
import { describe, expect, test } from 'vitest';
import { tinyOnnx } from '../test/tiny-onnx.ts';
import { onnxEngine } from './ort.ts';

const dims = [1, 4];
/** Gives relu(x) and x + x. */
const model = tinyOnnx(
  dims,
  ['x'],
  [
    { op: 'Relu', inputs: ['x'], output: 'positive' },
    { op: 'Add', inputs: ['x', 'x'], output: 'doubled' },
    { op: 'Neg', inputs: ['positive'], output: 'negative' },
  ],
  ['negative', 'doubled'],
);

function section(inputs: readonly string[], outputs: readonly string[]): Section {
  const ports = (names: readonly string[]) => names.map((name) => ({ tensor: name, dims }));
  return {
    id: 'device',
    place: 'device',
    engine: 'onnx',
    artifact: '0'.repeat(64) as Section['artifact'],
    inputs: ports(inputs),
    outputs: ports(outputs),
    model: 'tiny',
  };
}

const x = tensor('float32', dims, Float32Array.of(-1, 0, 2, 3));
const engine = onnxEngine();

test('a section gives the outputs it asks for and no others', async () => {
  const loaded = await engine.load(model, section(['x'], ['doubled']));
  const outputs = await loaded.run(new Map([['x', x]]));
  expect([...outputs]).toEqual([['doubled', { dtype: 'float32', dims, data: Float32Array.of(-2, 0, 4, 6) }]]);
  await loaded.dispose();
});

test('runs at the same time each give their own outputs and times', async () => {
  const loaded = await engine.load(model, section(['x'], ['negative', 'doubled']));
  const timings: { queueMs: number; computeMs: number }[] = [];
  const values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const all = await Promise.all(
    values.map((value) => {
      const input = tensor('float32', dims, new Float32Array(4).fill(value));
      return loaded.run(new Map([['x', input]]), { onTimings: (timing) => timings.push(timing) });
    }),
  );
  expect(all.map((outputs) => outputs.get('doubled')!.data[0])).toEqual(values.map((value) => 2 * value));
  expect(all.map((outputs) => outputs.get('negative')!.data[3])).toEqual(values.map((value) => -value));
  expect(timings).toHaveLength(10);
  await loaded.dispose();
});

test.each([
  ['a tensor in the middle as input', ['positive'], ['negative']],
  ['a tensor in the middle as output', ['x'], ['positive']],
  ['more inputs than the file has', ['x', 'doubled'], ['negative']],
])('a section with %s must be cut out first', async (_, inputs, outputs) => {
  await expect(engine.load(model, section(inputs, outputs))).rejects.toMatchObject({
    code: 'MODEL_UNSUPPORTED',
    message: expect.stringContaining('cut the file first'),
  });
});

test.each([
  ['bytes that are no model', Uint8Array.of(1, 2, 3), 'MODEL_CORRUPT'],
  ['a model cut short', model.subarray(0, model.length - 20), 'MODEL_CORRUPT'],
  [
    'an operator that is none',
    tinyOnnx(dims, ['x'], [{ op: 'Magic', inputs: ['x'], output: 'doubled' }], ['doubled']),
    'MODEL_UNSUPPORTED',
  ],
])('%s is one error', async (_, bytes, code) => {
  await expect(engine.load(bytes, section(['x'], ['doubled']))).rejects.toMatchObject({
    name: 'TierwiseError',
    code,
  });
});

describe('a run', () => {
  const loaded = () => engine.load(model, section(['x'], ['doubled']));

  test.each([
    ['without its input', new Map()],
    ['with another shape', new Map([['x', tensor('float32', [1, 5], new Float32Array(5))]])],
    ['with bytes', new Map([['x', tensor('uint8', dims, new Uint8Array(4))]])],
  ])('%s is refused by name', async (_, inputs) => {
    await expect((await loaded()).run(inputs)).rejects.toMatchObject({
      code: 'TENSOR_INVALID',
      message: expect.stringContaining('section device: input x'),
    });
  });

  test('that is cancelled does not begin', async () => {
    const run = (await loaded()).run(new Map([['x', x]]), { signal: AbortSignal.abort() });
    await expect(run).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('before disposal finishes; after it there is none', async () => {
    const ready = await loaded();
    const running = ready.run(new Map([['x', x]]));
    await ready.dispose();
    await ready.dispose();
    expect((await running).get('doubled')!.data).toEqual(Float32Array.of(-2, 0, 4, 6));
    await expect(ready.run(new Map([['x', x]]))).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});

const data = process.env['TIERWISE_DATA'];

test.skipIf(!data)("LeNet gives its publisher's scores", async () => {
  const folder = join(data!, '../models/lenet_4_8_32');
  // The raw values are the last field of each of these TensorProto files.
  const values = async (file: string, count: number) => {
    const bytes = await readFile(join(folder, 'test_data_set_0', file));
    return fromBytes('float32', new Uint8Array(bytes).slice(-4 * count));
  };
  const loaded = await engine.load(new Uint8Array(await readFile(join(folder, 'lenet_4_8_32.onnx'))), {
    ...section([], []),
    inputs: [{ tensor: 'input', dims: [1, 1, 28, 28] }],
    outputs: [{ tensor: 'output', dims: [1, 10] }],
  });
  const input = tensor('float32', [1, 1, 28, 28], await values('input_0.pb', 784));
  const scores = (await loaded.run(new Map([['input', input]]))).get('output')!.data as Float32Array;
  const expected = await values('output_0.pb', 10);
  for (const [i, score] of scores.entries()) expect(score).toBeCloseTo(expected[i]!, 3);
});
