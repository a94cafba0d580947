import type { KernelTable } from './kernels.ts';

/** Bytes of a module, each of which scripts/build-wasm.js wrote as the character (byte + 3) mod 256 + 35. */
export function moduleBytes(characters: string): Uint8Array<ArrayBuffer> {
  // What is taken modulo 256 when it is stored.
  return Uint8Array.from(characters, (character) => character.charCodeAt(0) - 38);
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
