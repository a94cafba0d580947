/** The implementations that hardly any page needs, in a file that pages load when they do. */
import { javascriptSource } from './javascript.ts';
import type { KernelName, KernelSource } from './kernels.ts';
import { scalarSource } from './scalar.ts';
import { simdBytes } from './simd.ts';

/** The best where plain SIMD cannot be compiled. */
export async function withoutSimd(): Promise<KernelSource> {
  // Validation is allowed where compilation is not: a module that is valid was refused by the page's policy.
  const missing = typeof WebAssembly === 'object' && !WebAssembly.validate(simdBytes);
  return missing ? scalarSource().catch(() => javascriptSource) : javascriptSource;
}

/** @throws WebAssembly.CompileError when it is not to be had here */
export async function namedSource(name: Exclude<KernelName, 'simd'>): Promise<KernelSource> {
  if (name === 'javascript') return javascriptSource;
  if (name === 'scalar') return scalarSource();
  // Loaded by itself: a page that needs the others needs this least of all.
  const { relaxedSource } = await import('./relaxed.ts');
  return relaxedSource();
}
