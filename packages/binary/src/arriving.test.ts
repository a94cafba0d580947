import { readFile } from 'node:fs/promises';
import { tensor, writeSafetensors } from '@tierwise/core';
import type { Arrival, Section } from '@tierwise/plan';
import { expect, test } from 'vitest';
import { binaryEngine } from './engine.ts';

const model = new URL('../../../models/lenet-mnist.tierwise/branch.safetensors', import.meta.url);
const file = new Uint8Array(await readFile(model));

const section: Section = {
  id: 'branch',
  place: 'device',
  engine: 'binary',
  artifact: '0'.repeat(64) as Section['artifact'],
  inputs: [{ tensor: 'pixels', dims: [1, 1, 28, 28] }],
  outputs: [{ tensor: 'branch_scores', dims: [1, 10] }],
  model: 'branch',
};
const pixels = tensor(
  'float32',
  [1, 1, 28, 28],
  Float32Array.from({ length: 784 }, (_, i) => (i * 37) % 256),
);

/** Bytes that are there when they are asked for, not before and no further. */
function asAsked(): Arrival & { readonly asked: number[] } {
  const bytes = new Uint8Array(file.length);
  const asked: number[] = [];
  return {
    bytes,
    asked,
    async reached(count) {
      asked.push(count);
      bytes.set(file.subarray(0, count));
    },
  };
}

test('a program that arrives gives what it gives when it is there', async () => {
  const engine = binaryEngine();
  const arrival = asAsked();
  const arriving = await engine.loadArriving!(arrival, section);
  const whole = await engine.load(file, section);
  const inputs = new Map([['pixels', pixels]]);
  expect(await arriving.run(inputs)).toEqual(await whole.run(inputs));
});

test('nearly all of a file may be missing when everything but its bits is ready', async () => {
  const arrival = asAsked();
  await binaryEngine().loadArriving!(arrival, section);
  const beforeBits = arrival.asked[2]!;
  expect(beforeBits).toBeLessThan(file.length / 4);
  expect(arrival.asked.at(-1)).toBe(file.length);
});

test('a file that breaks off is refused with what its arrival says', async () => {
  for (const limit of [0, 100, 20_000]) {
    const { bytes, reached } = asAsked();
    const arrival: Arrival = {
      bytes,
      async reached(count) {
        if (count > limit) throw new Error('broke off');
        await reached(count);
      },
    };
    await expect(binaryEngine().loadArriving!(arrival, section)).rejects.toThrow('broke off');
  }
});

test('what is no program is refused for what is wrong with it', async () => {
  const engine = binaryEngine();
  const reached = async () => undefined;
  for (const bytes of [
    new Uint8Array(0),
    new Uint8Array(9),
    new Uint8Array(100).fill(255),
    file.subarray(0, 500),
  ]) {
    await expect(engine.loadArriving!({ bytes, reached }, section)).rejects.toMatchObject({
      code: 'SAFETENSORS_CORRUPT',
    });
  }
  for (const program of [undefined, '', '{}', 'null', '[1']) {
    const metadata = { format: 'tierwise-program/1', ...(program === undefined ? {} : { program }) };
    const bytes = writeSafetensors(new Map(), metadata);
    await expect(engine.loadArriving!({ bytes, reached }, section)).rejects.toMatchObject({
      code: 'PROGRAM_CORRUPT',
    });
  }
});
