import { TierwiseError } from '@tierwise/core';
import type { Arrival } from '@tierwise/plan';
import { reachedAll } from '../arriving.ts';
import { writeDescriptor } from '../kernels/descriptors.ts';
import type { KernelSource, Kernels, KernelTable } from '../kernels/kernels.ts';
import { type BinaryWeights, layBinaryWeights, layRealWeights } from '../kernels/weights.ts';
import type { LoadedProgram, ProgramOutput } from '../program.ts';
import { planProgram } from './plan.ts';

/** A program on a memory of its own, ready to run sample by sample. */
export interface Executor {
  /** The kernels that it was made for, with its memory. */
  readonly kernels: Kernels;
  /**
   * The outputs asked for, float32 in CHW order, bits as +1 and -1. Views of the executor's memory: they hold the
   * results of the last run until the next.
   */
  readonly outputs: readonly Float32Array[];
  /** Runs one sample, CHW. Allocates nothing. */
  run(input: Float32Array): void;
  /** Goes on with other kernels on the same memory. */
  use(table: KernelTable): void;
}

/**
 * Brings a program into the memory of kernels. `outputs` are those of the program that are wanted, default all. Of an
 * `artifact` that is still arriving the bits of binary layers are laid out one after the other as they come; before, the
 * kernels run once on none, so that the browser compiles them again, better, while there is time.
 * @throws TierwiseError PROGRAM_CORRUPT | MODEL_UNSUPPORTED when it needs more memory than is allowed, or than there is
 */
export async function prepare(
  loaded: LoadedProgram,
  source: KernelSource,
  outputs: readonly ProgramOutput[] = loaded.program.outputs,
  artifact?: Arrival,
): Promise<Executor> {
  const plan = planProgram(loaded, source.layout, outputs);
  let kernels = await source.instantiate(plan.bytes).catch((cause: unknown) => {
    if (!(cause instanceof RangeError)) throw cause;
    const what = `the program needs ${plan.bytes} bytes of memory, more than can be had here`;
    throw new TierwiseError('MODEL_UNSUPPORTED', what, { bytes: plan.bytes }, { cause });
  });
  if (loaded.program.ops.some(({ kind }) => kind === 'depthwise'))
    kernels = await (await import('../kernels/depthwise.ts')).withDepthwise(kernels);
  const { buffer } = kernels.memory;
  const bytes = new Uint8Array(buffer);
  const words = new Int32Array(buffer);
  const layers: { readonly weights: BinaryWeights; readonly address: number }[] = [];
  for (const { address, content } of plan.constants) {
    if (content.kind === 'binary') layers.push({ weights: content.weights, address });
    else if (content.kind === 'real') layRealWeights(content.weights, kernels, address, plan.layAddress);
    else {
      const { buffer: data, byteOffset, byteLength } = content.data;
      bytes.set(new Uint8Array(data, byteOffset, byteLength), address);
    }
  }
  for (const step of plan.steps) {
    if (step.kind === 'kernel') writeDescriptor(words, step.address, step.record, step.fields);
  }

  const sample = new Float32Array(buffer, plan.input.address, plan.input.length);
  let calls = callsOf(kernels.table);
  function callsOf(table: KernelTable): (() => void)[] {
    return plan.steps.map((step) => {
      if (step.kind === 'clear') return () => bytes.fill(0, step.from, step.to);
      const kernel = table[step.kernel]!;
      return () => kernel(step.address);
    });
  }
  const run = (input: Float32Array) => {
    sample.set(input);
    for (let i = 0; i < calls.length; i++) calls[i]!();
  };
  if (artifact) run(new Float32Array(sample.length));
  for (const { weights, address } of layers.sort(
    (a, b) => a.weights.stream.byteOffset - b.weights.stream.byteOffset,
  )) {
    if (artifact) await reachedAll(artifact, weights.stream);
    layBinaryWeights(weights, kernels, address, plan.layAddress);
  }
  return {
    kernels,
    outputs: plan.outputs.map(({ address, length }) => new Float32Array(buffer, address, length)),
    run,
    use(table) {
      calls = callsOf(table);
    },
  };
}
