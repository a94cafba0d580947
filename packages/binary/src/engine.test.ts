import { type Tensor, tensor } from '@tierwise/core';
import type { Digest, Section } from '@tierwise/plan';
import { expect, test } from 'vitest';
import { binaryEngine } from './engine.ts';
import { writeProgram } from './file.ts';

/** x [2, 1, 2] -> signs -> sums of one filter of +1 over both channels -> twice the sums plus a half. */
function artifact(): Uint8Array {
  const window = { kernelH: 1, kernelW: 1, strideH: 1, strideW: 1, padH: 0, padW: 0 };
  return writeProgram(
    {
      input: { tensor: 'x', shape: { c: 2, h: 1, w: 2 } },
      ops: [
        { kind: 'binarize', input: 0, output: 1, threshold: 't' },
        { kind: 'convBinary', input: 1, output: 2, window, weights: 'w', channels: 1 },
        { kind: 'affine', input: 2, output: 3, scale: 's', bias: 'b', relu: false },
      ],
      outputs: [
        { tensor: 'signs', value: 1, dims: [1, 2, 1, 2] },
        { tensor: 'sums', value: 2, dims: [1, 1, 1, 2] },
        { tensor: 'y', value: 3, dims: [1, 2] },
      ],
    },
    new Map<string, Tensor>([
      ['t', tensor('float32', [2], Float32Array.of(0, 10))],
      ['w', tensor('uint8', [1], Uint8Array.of(3))],
      ['s', tensor('float32', [1], Float32Array.of(2))],
      ['b', tensor('float32', [1], Float32Array.of(0.5))],
    ]),
  );
}

function section(outputs: readonly string[], input = 'x'): Section {
  return {
    id: 'branch',
    place: 'device',
    engine: 'binary',
    artifact: '0'.repeat(64) as Digest,
    inputs: [{ tensor: input, dims: [1, 2, 1, 2] }],
    outputs: outputs.map((name) => ({ tensor: name, dims: [1] })),
    model: 'branch',
  };
}

const batch = tensor('float32', [2, 2, 1, 2], Float32Array.of(1, -1, 10, 10, -1, -1, 9, 10));
const run = async (outputs: readonly string[], inputs = new Map<string, Tensor>([['x', batch]])) =>
  (await binaryEngine().load(artifact(), section(outputs))).run(inputs);

test('a batch runs sample by sample and gives the outputs that the section names', async () => {
  const found = await run(['y', 'signs', 'sums']);
  expect([...found.keys()]).toEqual(['y', 'signs', 'sums']);
  expect(found.get('signs')).toEqual(
    tensor('float32', [2, 2, 1, 2], Float32Array.of(1, -1, 1, 1, -1, -1, -1, 1)),
  );
  expect(found.get('sums')).toEqual(tensor('float32', [2, 1, 1, 2], Float32Array.of(2, 0, -2, 0)));
  expect(found.get('y')).toEqual(tensor('float32', [2, 2], Float32Array.of(4.5, 0.5, -3.5, 0.5)));
  expect([...(await run(['signs'])).keys()]).toEqual(['signs']);
});

test('the artifact may change after load', async () => {
  const bytes = artifact();
  const loaded = await binaryEngine().load(bytes, section(['y']));
  bytes.fill(0);
  expect((await loaded.run(new Map([['x', batch]]))).get('y')!.data).toEqual(
    Float32Array.of(4.5, 0.5, -3.5, 0.5),
  );
});

test.each<[string, Tensor | undefined]>([
  ['missing', undefined],
  ['of another type', tensor('uint8', [1, 2, 1, 2], new Uint8Array(4))],
  ['of another shape', tensor('float32', [1, 1, 2, 2], new Float32Array(4))],
  ['of another rank', tensor('float32', [2, 2], new Float32Array(4))],
  ['empty', tensor('float32', [0, 2, 1, 2], new Float32Array(0))],
  ['shorter than its dims', { dtype: 'float32', dims: [1, 2, 1, 2], data: new Float32Array(3) }],
  ['NaN', tensor('float32', [1, 2, 1, 2], Float32Array.of(0, NaN, 0, 0))],
  ['infinite', tensor('float32', [1, 2, 1, 2], Float32Array.of(0, 0, 0, -Infinity))],
])('an input that is %s is refused', async (_, input) => {
  const inputs = new Map<string, Tensor>(input ? [['x', input]] : []);
  await expect(run(['y'], inputs)).rejects.toMatchObject({ code: 'TENSOR_INVALID' });
});

test('a section that the program does not fit, and bytes that are no program, are refused at load', async () => {
  const load = (bytes: Uint8Array, wanted: Section) => binaryEngine().load(bytes, wanted);
  await expect(load(artifact(), section(['z']))).rejects.toMatchObject({ code: 'PLAN_INVALID' });
  await expect(load(artifact(), section(['y'], 'z'))).rejects.toMatchObject({ code: 'PLAN_INVALID' });
  const truncated = artifact().subarray(0, -1);
  await expect(load(truncated, section(['y']))).rejects.toMatchObject({ code: 'SAFETENSORS_CORRUPT' });
});

test('a cancelled run and a disposed section say so', async () => {
  const loaded = await binaryEngine().load(artifact(), section(['y']));
  const inputs = new Map([['x', batch]]);
  await expect(loaded.run(inputs, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'CANCELLED',
  });
  await loaded.dispose();
  await loaded.dispose();
  await expect(loaded.run(inputs)).rejects.toMatchObject({ code: 'DISPOSED' });
});
