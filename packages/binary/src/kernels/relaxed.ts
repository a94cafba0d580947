import { engineRelaxed } from '../generated/engine-relaxed.ts';
import type { KernelSource, KernelTable } from './kernels.ts';
import { simdLayout, simdSource } from './simd.ts';
import { moduleBytes, wasmKernels } from './wasm.ts';

type RelaxedTable = Pick<KernelTable, 'convTable' | 'convReal'>;

/**
 * WebAssembly with relaxed SIMD for the kernels that it makes faster, and those of `simd` on the same memory for all
 * else. Memory that was laid out for the one is right for the other.
 * @throws WebAssembly.CompileError when the browser has no relaxed SIMD
 */
export async function relaxedSource(): Promise<KernelSource> {
  const plain = await simdSource();
  const module = await WebAssembly.compile(moduleBytes(engineRelaxed));
  return {
    name: 'relaxed',
    layout: simdLayout,
    async instantiate(bytes) {
      const kernels = await plain.instantiate(bytes);
      const table = {
        ...kernels.table,
        ...(await wasmKernels<RelaxedTable>(module, kernels.memory as WebAssembly.Memory)),
      };
      return { ...kernels, name: 'relaxed', table };
    },
  };
}
