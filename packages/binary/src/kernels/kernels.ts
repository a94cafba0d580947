import type { DescriptorName } from './descriptors.ts';

/**
 * The implementations, fastest first:
 *   relaxed     WebAssembly with relaxed SIMD
 *   simd        WebAssembly with SIMD
 *   scalar      WebAssembly without
 *   javascript  for pages whose content security policy forbids WebAssembly
 */
export type KernelName = 'relaxed' | 'simd' | 'scalar' | 'javascript';

/** A kernel: does what the record at a byte address says. It allocates nothing. */
export type Kernel = (descriptor: number) => void;

/**
 * Two ways to a binary convolution, each with weights of its own, and `depthwise`, which is there when a program needs
 * it (depthwise.ts) and takes a record of `pool`; all else has the name of its record.
 */
export type KernelTable = Readonly<
  Record<Exclude<DescriptorName, 'convBinary'> | 'convTable' | 'convPopcount', Kernel> & {
    depthwise?: Kernel;
  }
>;

/** How an implementation wants bits and binary weights. */
export interface BitLayout {
  /** The bits of a pixel are filled up with zeros to a multiple of so many bytes. */
  readonly unitBytes: 1 | 4 | 8;
  /** Whether weights of many output channels lie side by side, see weights.ts; else channel after channel. */
  readonly lanes: boolean;
}

/** Kernels with a memory of their own. */
export interface Kernels {
  readonly name: KernelName;
  readonly layout: BitLayout;
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly table: KernelTable;
}

/** An implementation that is ready to be used: `instantiate` gives it a memory of at least `bytes`, all 0. */
export interface KernelSource {
  readonly name: KernelName;
  readonly layout: BitLayout;
  instantiate(bytes: number): Promise<Kernels>;
}
