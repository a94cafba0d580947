import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Tensor, tensor } from '@tierwise/core';
import { readOnnx, summarize } from '@tierwise/graph';
import type { Digest, Port, RunTimings, Section } from '@tierwise/plan';
import { afterAll, describe, expect, it } from 'vitest';
import { smallGraph } from '../test/graphs.ts';
import { onnxEngine } from './engine.ts';

const engine = onnxEngine();
afterAll(() => engine.dispose());

const port = (name: string, dims: readonly number[] = [1, 3]): Port => ({ tensor: name, dims: [...dims] });
const section = (inputs: Port[], outputs: Port[]): Section => ({
  id: 'part',
  place: 'edge',
  engine: 'onnx',
  artifact: '0'.repeat(64) as Digest,
  inputs,
  outputs,
  model: 'm',
});
const x = tensor('float32', [2, 3], Float32Array.of(-1, 0, 2, 3, 4, 5));

describe('onnxEngine', () => {
  it('runs a whole graph and the pieces on both sides of a tensor, for any batch', async () => {
    const bytes = smallGraph();
    const whole = await engine.load(bytes, section([port('x')], [port('z')]));
    const head = await engine.load(bytes, section([port('x')], [port('y')]));
    const tail = await engine.load(bytes, section([port('y')], [port('z')]));
    const both = await engine.load(bytes, section([port('x')], [port('z'), port('y')]));
    const z = Float32Array.of(1, 1, 5, 7, 9, 11);
    expect(await whole.run(new Map([['x', x]]))).toEqual(new Map([['z', tensor('float32', [2, 3], z)]]));
    const y = await head.run(new Map([['x', x]]));
    expect([...y.keys()]).toEqual(['y']);
    expect((await tail.run(y)).get('z')?.data).toEqual(z);
    expect([...(await both.run(new Map([['x', x]]))).keys()]).toEqual(['z', 'y']);
    await Promise.all([whole, head, tail, both].map((loaded) => loaded.dispose()));
    await expect(whole.run(new Map([['x', x]]))).rejects.toMatchObject({ code: 'DISPOSED' });
  });

  it('tells how long a run waited and computed', async () => {
    const loaded = await engine.load(smallGraph(), section([port('x')], [port('z')]));
    const timings: RunTimings[] = [];
    await loaded.run(new Map([['x', x]]), { onTimings: (t) => timings.push(t) });
    expect(timings).toHaveLength(1);
    expect(timings[0]!.computeMs).toBeGreaterThan(0);
    await loaded.dispose();
  });

  it('refuses bytes that are no model, and pieces that the graph does not have', async () => {
    const load = (bytes: Uint8Array, input: string, output: string) =>
      engine.load(bytes, section([port(input)], [port(output)]));
    await expect(load(new Uint8Array(20), 'x', 'z')).rejects.toMatchObject({ code: 'MODEL_CORRUPT' });
    await expect(load(smallGraph(), 'x', 'q')).rejects.toMatchObject({ code: 'PLAN_INVALID' });
    await expect(load(smallGraph(), 'x', 'q')).rejects.toThrow(/section "part".*"q"/);
    await expect(load(smallGraph(), 'z', 'y')).rejects.toMatchObject({ code: 'PLAN_INVALID' });
  });

  it.each<[string, Map<string, Tensor>, RegExp]>([
    ['a missing input', new Map(), /"x" of section "part" is missing/],
    ['a wrong shape', new Map([['x', tensor('float32', [1, 4], new Float32Array(4))]]), /\[1,4\].*\[n, 3\]/],
    ['a wrong dtype', new Map([['x', tensor('int32', [1, 3], new Int32Array(3))]]), /int32/],
  ])('refuses %s', async (_, inputs, message) => {
    const loaded = await engine.load(smallGraph(), section([port('x')], [port('z')]));
    await expect(loaded.run(inputs)).rejects.toMatchObject({ code: 'TENSOR_INVALID' });
    await expect(loaded.run(inputs)).rejects.toThrow(message);
    await loaded.dispose();
  });
});

const models = join(process.env['TIERWISE_DATA'] ?? '', '..', 'models');

describe.skipIf(!process.env['TIERWISE_DATA'])('models made by others', () => {
  it.each(['lenet_4_8_32', 'mnist-cntk', 'resnet_2b'])(
    '%s: cut anywhere, the pieces give what the whole gives',
    async (name) => {
      const bytes = readFileSync(join(models, name, `${name}.onnx`));
      const { inputs, outputs, tensors, cuts } = summarize(readOnnx(bytes));
      const dimsOf = (wanted: string) => tensors.find((entry) => entry.name === wanted)!.dims;
      const at = (tensorName: string) => port(tensorName, dimsOf(tensorName));
      const input = inputs[0]!;
      const output = outputs[0]!;
      const pixels = new Float32Array(input.bytes / 4).map((_, i) => ((i * 37) % 255) / 255);
      const feeds = new Map<string, Tensor>([[input.name, tensor('float32', input.dims, pixels)]]);
      const whole = await engine.load(bytes, section([at(input.name)], [at(output.name)]));
      const expected = (await whole.run(feeds)).get(output.name)!;
      await whole.dispose();
      expect(cuts.length).toBeGreaterThan(3);
      for (const cut of cuts) {
        const head = await engine.load(bytes, section([at(input.name)], [at(cut.tensor)]));
        const tail = await engine.load(bytes, section([at(cut.tensor)], [at(output.name)]));
        const found = (await tail.run(await head.run(feeds))).get(output.name)!;
        // ONNX Runtime fuses across a cut when it sees the whole: the order of float32 additions differs.
        const scale = Math.max(...(expected.data as Float32Array).map(Math.abs));
        for (const [i, value] of (expected.data as Float32Array).entries()) {
          expect(Math.abs((found.data as Float32Array)[i]! - value)).toBeLessThan(1e-4 * scale);
        }
        await head.dispose();
        await tail.dispose();
      }
    },
  );
});
