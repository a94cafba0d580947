import { engineScalar } from '../generated/engine-scalar.ts';
import { javascriptKernels } from './javascript.ts';
import type { BitLayout, Kernel, KernelSource } from './kernels.ts';
import { moduleBytes, wasmKernels, wasmMemory } from './wasm.ts';

/** Words of 64 bits. */
const layout: BitLayout = { unitBytes: 8, lanes: false };

/**
 * WebAssembly without SIMD: binary convolutions by i64.popcnt, and JavaScript on the same memory for all else.
 * @throws WebAssembly.CompileError when the page forbids WebAssembly
 */
export async function scalarSource(): Promise<KernelSource> {
  const module = await WebAssembly.compile(moduleBytes(engineScalar));
  return {
    name: 'scalar',
    layout,
    async instantiate(bytes) {
      const memory = wasmMemory(bytes);
      const { convBinary } = await wasmKernels<{ convBinary: Kernel }>(module, memory);
      const table = { ...javascriptKernels(memory.buffer), convTable: convBinary, convPopcount: convBinary };
      return { name: 'scalar', layout, memory, table };
    },
  };
}
