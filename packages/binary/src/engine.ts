import { elementCount, type Tensor, TierwiseError, tensor } from '@tierwise/core';
import type { Engine, LoadedSection, Section } from '@tierwise/plan';
import { readProgram } from './file.ts';
import { sizeOf } from './infer.ts';
import { inputsOf, type LoadedProgram, type Op, type ProgramOutput, type Shape } from './program.ts';
import { runReference, type ValueData } from './reference.ts';

/**
 * The engine of program files. A section takes the program's one input and gives any of the program's outputs,
 * as float32 (bits as +1 and -1); only the operations that those need are run.
 */
export function binaryEngine(): Engine {
  return {
    name: 'binary',
    async load(artifact, section) {
      // A program may share memory with the bytes it is read from, and an artifact is not ours to keep.
      const loaded = readProgram(new Uint8Array(artifact), `artifact of section "${section.id}"`);
      return loadSection(loaded, section);
    },
  };
}

function loadSection(loaded: LoadedProgram, section: Section): LoadedSection {
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
  const ops = neededOps(loaded.program.ops, wanted);
  let disposed = false;
  return {
    async run(inputs, { signal } = {}) {
      if (disposed) throw new TierwiseError('DISPOSED', `section "${section.id}" has been disposed`);
      const batch = checkInput(inputs.get(input.tensor), input.tensor, input.shape);
      const samples = batch.data.length / sizeOf(input.shape);
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
        const pixels = batch.data.subarray(sample * sizeOf(input.shape), (sample + 1) * sizeOf(input.shape));
        const values = runReference(loaded, pixels, ops);
        wanted.forEach(({ value }, i) => {
          const real = asReal(values[value]!);
          results[i]!.set(real, sample * real.length);
        });
      }
      return new Map(
        wanted.map(({ tensor: name, dims }, i) => [
          name,
          tensor('float32', [samples, ...dims.slice(1)], results[i]!),
        ]),
      );
    },
    async dispose() {
      disposed = true;
    },
  };
}

/** The operations on the way to `outputs`, in their order. */
function neededOps(ops: readonly Op[], outputs: readonly ProgramOutput[]): Op[] {
  const needed = new Set(outputs.map(({ value }) => value));
  return ops
    .toReversed()
    .filter((op) => {
      const wanted = needed.has(op.output);
      if (wanted) for (const number of inputsOf(op)) needed.add(number);
      return wanted;
    })
    .reverse();
}

function asReal(value: ValueData): Float32Array {
  if (value instanceof Float32Array) return value;
  return Float32Array.from(value, value instanceof Uint8Array ? (bit) => 2 * bit - 1 : Number);
}

/** The input as float32 [n, c, h, w], or [n, c] when the program's input has no extent. */
function checkInput(found: Tensor | undefined, name: string, { c, h, w }: Shape): Tensor<'float32'> {
  const expected = `float32 [n, ${c}, ${h}, ${w}]`;
  const refuse = (what: string) =>
    new TierwiseError('TENSOR_INVALID', `tensor "${name}": ${what}; expected ${expected}`, { tensor: name });
  if (!found) throw refuse('missing');
  const { dtype, dims, data } = found;
  const [samples, ...rest] = dims;
  const sample = rest.length === 1 && h * w === 1 ? [c] : [c, h, w];
  if (
    dtype !== 'float32' ||
    samples === undefined ||
    samples < 1 ||
    rest.length !== sample.length ||
    !rest.every((dim, axis) => dim === sample[axis]) ||
    data.length !== elementCount(dims)
  ) {
    throw refuse(`${dtype} [${dims}] with ${data.length} elements`);
  }
  const bad = (data as Float32Array).findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw refuse(`element ${bad} is ${data[bad]}`);
  return found as Tensor<'float32'>;
}
