import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { kernelSource } from '../src/kernels/choose.ts';
import type { KernelName } from '../src/kernels/kernels.ts';
import { depthwiseCases, gridCases, randomCase, specialCases } from './kernels.conformance.ts';

const cases = [...specialCases(), ...gridCases(), ...depthwiseCases()];

describe.each<KernelName>(['simd', 'scalar', 'javascript'])('%s', (name) => {
  test.each(cases)('$name', async ({ run }) => {
    await run(await kernelSource(name));
  });

  test('random programs', async () => {
    const source = await kernelSource(name);
    await fc.assert(
      fc.asyncProperty(fc.nat(2 ** 31 - 1), async (seed) => randomCase(seed).run(source)),
      { numRuns: 200 },
    );
  });
});

test('Node has WebAssembly with SIMD, so that is what it gets', async () => {
  expect((await kernelSource()).name).toBe('simd');
});
