import { engineSimd } from '../generated/engine-simd.ts';
import type { KernelSource, KernelTable } from './kernels.ts';
import { simdLayout } from './layout.ts';
import { moduleBytes, wasmKernels, wasmMemory } from './wasm.ts';

export const simdBytes = moduleBytes(engineSimd);

/**
 * WebAssembly with SIMD, compiled beside the main thread.
 * @throws WebAssembly.CompileError when the browser has no SIMD, or the page forbids WebAssembly
 */
export async function simdSource(): Promise<KernelSource> {
  const module = await WebAssembly.compile(simdBytes);
  return {
    name: 'simd',
    layout: simdLayout,
    async instantiate(bytes) {
      const memory = wasmMemory(bytes);
      const { begin, ...table } = await wasmKernels<KernelTable & { begin: () => void }>(module, memory);
      begin();
      return { name: 'simd', layout: simdLayout, memory, table };
    },
  };
}
