import { contest } from '../fast/contest.ts';
import type { Executor } from '../fast/executor.ts';
import { engineRelaxed } from '../generated/engine-relaxed.ts';
import type { KernelSource, Kernels, KernelTable } from './kernels.ts';
import { simdLayout } from './layout.ts';
import { simdSource } from './simd.ts';
import { moduleBytes, wasmKernels } from './wasm.ts';

type RelaxedTable = Pick<KernelTable, 'convTable'>;

/**
 * The kernels of `simd` with the one in its place that relaxed SIMD makes faster, on the same memory.
 * @throws WebAssembly.CompileError when the browser has no relaxed SIMD
 */
async function relaxedTable({ memory, table }: Kernels): Promise<KernelTable> {
  const module = await WebAssembly.compile(moduleBytes(engineRelaxed));
  return { ...table, ...(await wasmKernels<RelaxedTable>(module, memory as WebAssembly.Memory)) };
}

/**
 * What runs the executor's samples from here on: plain and relaxed SIMD take turns until one has won.
 * @throws WebAssembly.CompileError when the browser has no relaxed SIMD
 */
export async function challenge(executor: Executor): Promise<Executor['run']> {
  return contest(executor, await relaxedTable(executor.kernels), () => performance.now());
}

/**
 * WebAssembly with relaxed SIMD.
 * @throws WebAssembly.CompileError when the browser has none
 */
export async function relaxedSource(): Promise<KernelSource> {
  const plain = await simdSource();
  await WebAssembly.compile(moduleBytes(engineRelaxed));
  return {
    name: 'relaxed',
    layout: simdLayout,
    async instantiate(bytes) {
      const kernels = await plain.instantiate(bytes);
      return { ...kernels, name: 'relaxed', table: await relaxedTable(kernels) };
    },
  };
}
