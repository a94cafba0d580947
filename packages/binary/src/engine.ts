import { elementCount, type Tensor, TierwiseError, tensor } from '@tierwise/core';
import type { Arrival, Engine, LoadedSection, Section } from '@tierwise/plan';
import { readArriving } from './arriving.ts';
import { type Executor, prepare } from './fast/executor.ts';
import { sizeOf } from './infer.ts';
import { kernelSource } from './kernels/choose.ts';
import type { KernelName, KernelSource } from './kernels/kernels.ts';
import type { LoadedProgram, Shape } from './program.ts';

/** Multiply-accumulates of a program that takes long enough, some 50 us, for the clock to tell kernels apart. */
const worthAContest = 2 ** 23;

export interface BinaryEngineOptions {
  /** Default: the fastest that there is. */
  readonly kernels?: KernelName | undefined;
}

/**
 * The engine of program files. A section takes the program's one input and gives any of the program's outputs,
 * as float32 (bits as +1 and -1); only the operations that those need are run. Compilation of the kernels begins at
 * once, while artifacts are still on their way.
 */
export function binaryEngine({ kernels }: BinaryEngineOptions = {}): Engine {
  const source = kernelSource(kernels);
  // Whoever loads a section is told.
  source.catch(() => undefined);
  async function loadArriving(artifact: Arrival, section: Section): Promise<LoadedSection> {
    const loaded = await readArriving(artifact, `artifact of section "${section.id}"`);
    return loadSection(loaded, artifact, section, await source, kernels === undefined);
  }
  return {
    name: 'binary',
    load: (bytes, section) => loadArriving({ bytes, reached: async () => undefined }, section),
    loadArriving,
  };
}

async function loadSection(
  loaded: LoadedProgram,
  artifact: Arrival,
  section: Section,
  source: KernelSource,
  mayChange: boolean,
): Promise<LoadedSection> {
  const { input, outputs } = loaded.program;
  const refuse = (what: string) =>
    new TierwiseError('PLAN_INVALID', `section "${section.id}": ${what}`, { section: section.id });
  if (section.inputs.length !== 1 || section.inputs[0]!.tensor !== input.tensor) {
    throw refuse(
      `takes ${section.inputs.map((port) => port.tensor).join(', ')}; the program takes ${input.tensor}`,
    );
  }
  const wanted = section.outputs.map((port) => {
    const output = outputs.find(({ tensor: name }) => name === port.tensor);
    if (output) return output;
    throw refuse(
      `the program gives ${outputs.map(({ tensor: name }) => name).join(', ')}, not ${port.tensor}`,
    );
  });
  let executor: Executor | undefined = await prepare(loaded, source, wanted, artifact);
  let runSample = executor.run;
  // Plain SIMD has to compete with relaxed SIMD where that can be measured, after the first answer.
  let undecided = mayChange && executor.kernels.name === 'simd' && work(loaded) >= worthAContest;
  const invite = async (current: Executor) => {
    const { challenge } = await import('./kernels/relaxed.ts');
    runSample = await challenge(current);
  };
  return {
    async run(inputs, { signal } = {}) {
      if (!executor) throw new TierwiseError('DISPOSED', `section "${section.id}" has been disposed`);
      const batch = checkInput(inputs.get(input.tensor), input.tensor, input.shape);
      const size = sizeOf(input.shape);
      const samples = batch.data.length / size;
      const results = wanted.map(({ dims }) => new Float32Array(samples * elementCount(dims)));
      for (let sample = 0; sample < samples; sample++) {
        if (signal?.aborted) {
          throw new TierwiseError(
            'CANCELLED',
            `section "${section.id}": cancelled`,
            {},
            { cause: signal.reason },
          );
        }
        runSample(batch.data.subarray(sample * size, (sample + 1) * size));
        for (const [i, values] of executor.outputs.entries()) results[i]!.set(values, sample * values.length);
      }
      if (undecided) {
        undecided = false;
        // A browser without relaxed SIMD goes on as it is.
        invite(executor).catch(() => undefined);
      }
      return new Map(
        wanted.map(({ tensor: name, dims }, i) => [
          name,
          tensor('float32', [samples, ...dims.slice(1)], results[i]!),
        ]),
      );
    },
    async dispose() {
      executor = undefined;
    },
  };
}

function work({ macs }: LoadedProgram): number {
  return macs.reduce((sum, cost) => sum + cost, 0);
}

/** The input as float32 [n, c, h, w], or [n, c] when the program's input has no extent. */
function checkInput(found: Tensor | undefined, name: string, { c, h, w }: Shape): Tensor<'float32'> {
  const expected = `float32 [n, ${c}, ${h}, ${w}]`;
  const refuse = (what: string) =>
    new TierwiseError('TENSOR_INVALID', `tensor "${name}": ${what}; expected ${expected}`, { tensor: name });
  if (!found) throw refuse('missing');
  const { dtype, dims, data } = found;
  const sample = dims.length === 2 && h * w === 1 ? [c] : [c, h, w];
  const fits = `${dims.slice(1)}` === `${sample}` && dims[0]! >= 1 && data.length === elementCount(dims);
  if (!(data instanceof Float32Array && fits)) {
    throw refuse(`${dtype} [${dims}] with ${data.length} elements`);
  }
  const bad = data.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw refuse(`element ${bad} is ${data[bad]}`);
  return found as Tensor<'float32'>;
}
