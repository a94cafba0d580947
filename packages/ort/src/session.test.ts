import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DType, type Tensor, tensor, zeros } from '@tierwise/core';
import { describe, expect, it } from 'vitest';
import { identityGraph, pickyGraph, smallGraph } from '../test/graphs.ts';
import { openSession } from './session.ts';

const x = () => tensor('float32', [1, 3], Float32Array.of(-1, 0, 2));

describe('openSession', () => {
  it('tells inputs and outputs with their open dimensions', async () => {
    const session = await openSession(smallGraph());
    expect(session.inputs).toEqual([{ name: 'x', dtype: 'float32', dims: ['N', 3] }]);
    expect(session.outputs).toEqual([{ name: 'z', dtype: 'float32', dims: ['N', 3] }]);
    await session.dispose();
  });

  it('loads a file by its path', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tierwise-ort-'));
    const path = join(folder, 'small.onnx');
    await writeFile(path, smallGraph());
    const session = await openSession(path, { threads: 2, optimization: 'disabled' });
    expect((await session.run({ x: x() })).get('z')?.data).toEqual(Float32Array.of(1, 1, 5));
    await session.dispose();
    await rm(folder, { recursive: true });
    await expect(openSession(path)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  it.each([
    ['nothing', () => new Uint8Array(0)],
    ['no protobuf', () => new TextEncoder().encode('not a model at all')],
    ['half a model', () => smallGraph().subarray(0, 60)],
  ])('refuses %s as MODEL_CORRUPT', async (_, bytes) => {
    await expect(openSession(bytes())).rejects.toMatchObject({ code: 'MODEL_CORRUPT' });
  });

  it('names an operator that it does not know', async () => {
    const bytes = smallGraph();
    const at = Buffer.from(bytes).indexOf('Relu');
    bytes.set(new TextEncoder().encode('Rolu'), at);
    while (Buffer.from(bytes).includes('Relu')) {
      bytes.set(new TextEncoder().encode('Rolu'), Buffer.from(bytes).indexOf('Relu'));
    }
    const failure = openSession(bytes);
    await expect(failure).rejects.toMatchObject({ code: 'MODEL_UNSUPPORTED' });
    await expect(failure).rejects.toThrow(/Rolu/);
  });
});

describe('run', () => {
  it('takes a Map or a record, and any batch', async () => {
    const session = await openSession(smallGraph());
    const two = tensor('float32', [2, 3], Float32Array.of(-1, 0, 2, 3, 4, 5));
    expect((await session.run(new Map([['x', two]]))).get('z')).toEqual(
      tensor('float32', [2, 3], Float32Array.of(1, 1, 5, 7, 9, 11)),
    );
    expect((await session.run({ x: x() }, ['z'])).get('z')?.dims).toEqual([1, 3]);
    await session.dispose();
  });

  it('writes into a preallocated output and gives back the same object', async () => {
    const session = await openSession(smallGraph());
    const z = tensor('float32', [1, 3], new Float32Array(3));
    const outputs = await session.run({ x: x() }, { z });
    expect(outputs.get('z')).toBe(z);
    expect(z.data).toEqual(Float32Array.of(1, 1, 5));
    expect((await session.run({ x: x() }, new Map([['z', null]]))).get('z')).toEqual(z);
    await session.dispose();
  });

  const dtypes: DType[] = [
    'float32',
    'float64',
    'float16',
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'bool',
  ];
  it.each(dtypes)('carries %s in and out unchanged, views included', async (dtype) => {
    const session = await openSession(identityGraph(dtype));
    const whole = zeros(dtype, 6);
    const bits = new Uint8Array(whole.buffer);
    for (let i = 0; i < bits.length; i++) bits[i] = dtype === 'bool' ? i % 2 : i + 1;
    const view = whole.subarray(1, 5) as typeof whole;
    const y = (await session.run({ x: tensor(dtype, [4], view) })).get('y')!;
    expect(y.dtype).toBe(dtype);
    expect(y.data.constructor).toBe(whole.constructor);
    expect(y.data).toEqual(view);
    await session.dispose();
  });

  it.each<[string, Record<string, Tensor>, RegExp]>([
    ['a missing input', {}, /"x" is missing/],
    ['an unknown input', { x: x(), w: x() }, /no input "w"; it has "x"/],
    [
      'a wrong dtype',
      { x: tensor('int32', [1, 3], new Int32Array(3)) },
      /"x" is int32 \[1,3\].*float32 \[N,3\]/,
    ],
    ['a wrong rank', { x: tensor('float32', [3], new Float32Array(3)) }, /"x" is float32 \[3\]/],
    ['a wrong size', { x: tensor('float32', [1, 4], new Float32Array(4)) }, /"x" is float32 \[1,4\]/],
  ])('refuses %s', async (_, feeds, message) => {
    const session = await openSession(smallGraph());
    const failure = session.run(feeds);
    await expect(failure).rejects.toMatchObject({ code: 'TENSOR_INVALID' });
    await expect(failure).rejects.toThrow(message);
    await session.dispose();
  });

  it('refuses an unknown output and a preallocated one that does not fit', async () => {
    const session = await openSession(smallGraph());
    const code = { code: 'TENSOR_INVALID' };
    await expect(session.run({ x: x() }, ['q'])).rejects.toMatchObject(code);
    const wrongSize = tensor('float32', [1, 4], new Float32Array(4));
    await expect(session.run({ x: x() }, { z: wrongSize })).rejects.toMatchObject(code);
    const wrongType = tensor('int32', [1, 3], new Int32Array(3));
    await expect(session.run({ x: x() }, { z: wrongType })).rejects.toMatchObject(code);
    await session.dispose();
  });

  it('names the node that fails, and can be used again', async () => {
    const session = await openSession(pickyGraph());
    const run = (n: number) => session.run({ x: tensor('float32', [n], new Float32Array(n)) });
    await expect(run(5)).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(run(5)).rejects.toThrow(/Reshape_y/);
    expect((await run(6)).get('y')?.dims).toEqual([2, 3]);
    await session.dispose();
  });

  it('fails with DISPOSED after dispose, which may be called twice', async () => {
    const session = await openSession(smallGraph());
    await session.dispose();
    await session.dispose();
    await expect(session.run({ x: x() })).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});
