import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { prepare } from '../src/fast/executor.ts';
import { readProgram } from '../src/file.ts';
import { kernelSource } from '../src/kernels/choose.ts';

test('a warm classify allocates nothing', async () => {
  const file = new URL('../../../models/lenet-mnist.tierwise/branch.safetensors', import.meta.url);
  const executor = await prepare(
    readProgram(new Uint8Array(await readFile(file))),
    await kernelSource('simd'),
  );
  const digit = Float32Array.from({ length: 784 }, (_, i) => i % 256);
  const runs = 5000;
  const heapAfter = () => {
    for (let i = 0; i < runs; i++) executor.run(digit);
    return process.memoryUsage().heapUsed;
  };
  heapAfter();
  const grown = [0, 0, 0].map(() => {
    const before = process.memoryUsage().heapUsed;
    return heapAfter() - before;
  });
  // A single object a run would be 5,000 times 16 bytes or more each time. Others may allocate meanwhile, and a
  // collection may give back what they did.
  expect(Math.min(...grown.map(Math.abs))).toBeLessThan(runs * 8);
});
