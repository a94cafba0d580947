import type { KernelTable } from './kernels.ts';

/** Bytes of a module that scripts/build-wasm.js wrote in hexadecimal. */
export function moduleBytes(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g)!, (digits) => Number.parseInt(digits, 16));
}

const pageBytes = 65536;

/** Memory of at least `bytes`, all 0. It never grows, so views of it stay valid. */
export function wasmMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / pageBytes);
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}

/** What a module has of the kernels, on `memory`. */
export async function wasmKernels<T = KernelTable>(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<T> {
  const instance = await WebAssembly.instantiate(module, { env: { memory } });
  return instance.exports as T;
}
