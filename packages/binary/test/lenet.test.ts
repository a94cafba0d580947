import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { prepare } from '../src/fast/executor.ts';
import { readProgram } from '../src/file.ts';
import { kernelSource } from '../src/kernels/choose.ts';
import type { KernelName } from '../src/kernels/kernels.ts';
import { runReference } from '../src/reference.ts';

const models = fileURLToPath(new URL('../../../models/', import.meta.url));
const data = process.env['TIERWISE_DATA'];
const samples = 500;

/** Pixels of MNIST's test set, 0..255, in the publisher's file format: 16 bytes of header. */
async function digits(): Promise<Float32Array[]> {
  const file = gunzipSync(await readFile(`${data}/mnist/t10k-images-idx3-ubyte.gz`));
  return Array.from({ length: samples }, (_, i) =>
    Float32Array.from(file.subarray(16 + 784 * i, 16 + 784 * (i + 1))),
  );
}

test.skipIf(!data).each(['lenet-mnist', 'lenet-mnist-small'])(
  '%s on digits: every implementation gives what the reference gives',
  async (name) => {
    const loaded = readProgram(
      new Uint8Array(await readFile(`${models}${name}.tierwise/branch.safetensors`)),
    );
    const { outputs } = loaded.program;
    const inputs = await digits();
    const expected = inputs.map((input) => {
      const values = runReference(loaded, input);
      return outputs.map(({ value }) => values[value] as Float32Array);
    });
    for (const kernels of ['simd', 'scalar', 'javascript'] satisfies KernelName[]) {
      const executor = await prepare(loaded, await kernelSource(kernels));
      inputs.forEach((input, sample) => {
        executor.run(input);
        outputs.forEach(({ tensor, value }, i) => {
          const wanted = expected[sample]![i]!;
          const found = executor.outputs[i]!;
          // The scores come from a dense layer of reals, which may differ by rounding; the stem may not.
          const rounds = loaded.program.ops[value - 1]!.kind === 'denseReal';
          const allowed = rounds ? 1e-5 * Math.max(...wanted.map(Math.abs)) : 0;
          const worst = wanted.reduce((most, x, at) => Math.max(most, Math.abs(x - found[at]!)), 0);
          expect(worst, `${kernels}, sample ${sample}, ${tensor}`).toBeLessThanOrEqual(allowed);
        });
      });
    }
  },
);
