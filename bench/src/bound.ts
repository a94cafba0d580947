import { readFile } from 'node:fs/promises';
import { TierwiseError } from '@tierwise/core';
import asc from 'assemblyscript/asc';

/** `assembly/bound.ts` as WebAssembly. */
export async function compileBound(): Promise<Uint8Array> {
  const source = await readFile(new URL('../assembly/bound.ts', import.meta.url), 'utf8');
  let wasm: Uint8Array | undefined;
  const options = ['-O3', '--runtime', 'stub', '--noAssert', '--enable', 'simd'];
  const { error, stderr } = await asc.main(['bound.ts', '-o', 'bound.wasm', ...options], {
    readFile: (name) => (name === 'bound.ts' ? source : null),
    writeFile: (name, contents) => {
      if (name === 'bound.wasm') wasm = contents as Uint8Array;
    },
    listFiles: () => [],
  });
  if (wasm === undefined)
    throw new TierwiseError('INTERNAL', `assembly/bound.ts does not compile: ${error} ${stderr}`);
  return wasm;
}
