import {
  type Executor,
  type KernelName,
  type KernelSource,
  type KernelTable,
  kernelSource,
  prepare,
  readProgram,
} from '@tierwise/binary';
import type { Contestant } from './race.ts';

/** A program of ours on one implementation of the kernels. */
export interface Prepared {
  readonly executor: Executor;
  readonly table: KernelTable;
}

/** `output` is the tensor that is wanted, of those that the program gives. */
export async function prepareProgram(
  bytes: ArrayBuffer,
  kernels: KernelName,
  output: string,
): Promise<Prepared> {
  const source = await kernelSource(kernels);
  const loaded = readProgram(new Uint8Array(bytes));
  let table: KernelTable | undefined;
  const watched: KernelSource = {
    ...source,
    async instantiate(size) {
      const made = await source.instantiate(size);
      table = made.table;
      return made;
    },
  };
  const wanted = loaded.program.outputs.filter(({ tensor }) => tensor === output);
  const executor = await prepare(loaded, watched, wanted);
  return { executor, table: table! };
}

/** The whole program, the copy of its input included. */
export function programContestant(name: string, { executor }: Prepared, input: Float32Array): Contestant {
  return { name, run: () => executor.run(input) };
}

/**
 * The one call of a layer's kernel alone, with its epilogue: what a network pays for the layer, without bringing its
 * input in and its output out. `kernel` is the first of the names that the program calls.
 */
export function kernelContestant(
  name: string,
  { executor, table }: Prepared,
  input: Float32Array,
  kernels: readonly (keyof KernelTable)[],
): Contestant {
  let found: (() => void) | undefined;
  const watched = Object.fromEntries(
    kernels.map((kernel) => [
      kernel,
      (descriptor: number) => {
        const call = table[kernel]!;
        found ??= () => call(descriptor);
        call(descriptor);
      },
    ]),
  );
  executor.use({ ...table, ...watched });
  executor.run(input);
  executor.use(table);
  if (found === undefined) throw new Error(`the program calls none of ${kernels.join(', ')}`);
  return { name, run: found };
}

/** Whether the browser has relaxed SIMD. */
export async function hasRelaxed(): Promise<boolean> {
  return kernelSource('relaxed').then(
    () => true,
    () => false,
  );
}
