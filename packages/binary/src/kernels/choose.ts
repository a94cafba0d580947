/**
 * The one place where an implementation is chosen. Plain SIMD is what all current browsers have, and it is at hand
 * without another download; the others are loaded when they are needed. Relaxed SIMD is never chosen here: it has to
 * prove on the page's own samples that it is faster (fast/contest.ts).
 */
import type { KernelName, KernelSource } from './kernels.ts';
import { simdSource } from './simd.ts';

/**
 * The implementation called `name`, or the best that this page allows: a browser without SIMD gets `scalar`, and a
 * page whose content security policy forbids WebAssembly gets `javascript`.
 * @throws WebAssembly.CompileError when `name` is given and not to be had here
 */
export async function kernelSource(name?: KernelName): Promise<KernelSource> {
  const others = () => import('./others.ts');
  if (name === undefined) return simdSource().catch(async () => (await others()).withoutSimd());
  return name === 'simd' ? simdSource() : (await others()).namedSource(name);
}
