import { tensor } from '@tierwise/core';
import { DigestSchema, type Section } from '@tierwise/plan';
import fc from 'fast-check';
import * as v from 'valibot';
import { expect, test } from 'vitest';
import { type RandomNetwork, randomNetwork, runOnnx } from '../../test/networks.ts';
import { binaryEngine } from '../engine.ts';
import { compileBranch } from './branch.ts';

function section(outputs: readonly string[], dims: readonly number[]): Section {
  return {
    id: 'branch',
    place: 'device',
    engine: 'binary',
    artifact: v.parse(DigestSchema, '0'.repeat(64)),
    inputs: [{ tensor: 'pixels', dims: [1, ...dims.slice(1)] }],
    outputs: outputs.map((name) => ({ tensor: name, dims: [1] })),
    model: 'branch',
  };
}

async function runProgram(file: Uint8Array, outputs: readonly string[], { pixels }: RandomNetwork) {
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
