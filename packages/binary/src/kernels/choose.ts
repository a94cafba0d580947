/**
 * The one place where an implementation is chosen. Plain SIMD is what all current browsers have, and it is at hand
 * without another download; the others are loaded when they are needed. Relaxed SIMD is never chosen here: it has to
 * prove on the page's own samples that it is faster (trial.ts).
 */
import type { KernelName, KernelSource } from './kernels.ts';
import { simdBytes, simdSource } from './simd.ts';

/**
 * The implementation called `name`, or the best that this page allows: a browser without SIMD gets `scalar`, and a
 * page whose content security policy forbids WebAssembly gets `javascript`.
 * @throws WebAssembly.CompileError when `name` is given and not to be had here
 */
export async function kernelSource(name?: KernelName): Promise<KernelSource> {
  switch (name) {
    case 'relaxed':
      return (await import('./relaxed.ts')).relaxedSource();
    case 'simd':
      return simdSource();
    case 'scalar':
      return (await import('./scalar.ts')).scalarSource();
    case 'javascript':
      return (await import('./javascript.ts')).javascriptSource;
    case undefined:
      return kernelSource('simd').catch(async () => {
        // Validation is allowed where compilation is not: a module that is valid was refused by the page's policy.
        const missing = typeof WebAssembly === 'object' && !WebAssembly.validate(simdBytes);
        return missing
          ? kernelSource('scalar').catch(() => kernelSource('javascript'))
          : kernelSource('javascript');
      });
    default:
      return name satisfies never;
  }
}
