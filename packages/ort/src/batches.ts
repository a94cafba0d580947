import { elementCount, random, type Tensor, tensor } from '@tierwise/core';
import type { Port } from '@tierwise/plan';
import type { OrtSession } from './session.ts';

/** What a section takes and gives, as far as a trial of batches needs it; inputs are float32. */
export interface Trial {
  readonly inputs: readonly Port[];
  readonly outputs: readonly string[];
}

/** Batched and single runs add in different orders; a network that mixes its samples is off by far more. */
const tolerance = 1e-3;

/**
 * Whether two samples in one run give what each gives alone, so that runs may be joined: a fixed batch of 1, or an
 * operator across samples, says no. It also warms the session up. Three runs on random input.
 */
export async function runsBatches(session: OrtSession, { inputs, outputs }: Trial): Promise<boolean> {
  const draw = random(3);
  const samples = [0, 1].map(
    () =>
      new Map(
        inputs.map(({ tensor: name, dims }) => {
          const data = Float32Array.from({ length: elementCount(dims) }, () => 2 * draw.uniform() - 1);
          return [name, tensor('float32', dims, data)];
        }),
      ),
  );
  try {
    const alone = [await session.run(samples[0]!, outputs), await session.run(samples[1]!, outputs)];
    const parts = split(await session.run(join(samples), outputs), [1, 1]);
    return parts.every((part, i) => outputs.every((name) => agree(part.get(name)!, alone[i]!.get(name)!)));
  } catch {
    // What is wrong beyond that shows in the first run that somebody waits for.
    return false;
  }
}

function agree(a: Tensor, b: Tensor): boolean {
  const values = Array.from(b.data, Number);
  const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  return (
    `${a.dims}` === `${b.dims}` &&
    values.every((value, i) => Math.abs(Number(a.data[i]) - value) <= tolerance * scale)
  );
}

/** Tensors of several runs as those of one: joined along the first dimension. All have the same names, dtypes and other dims. */
export function join(runs: readonly ReadonlyMap<string, Tensor>[]): Map<string, Tensor> {
  return new Map(
    [...runs[0]!].map(([name, first]) => {
      const parts = runs.map((run) => run.get(name)!);
      const dims = [parts.reduce((sum, part) => sum + part.dims[0]!, 0), ...first.dims.slice(1)];
      const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.data.byteLength, 0));
      let at = 0;
      for (const { data } of parts) {
        whole.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
        at += data.byteLength;
      }
      const Elements = first.data.constructor as new (buffer: ArrayBuffer) => Tensor['data'];
      return [name, { dtype: first.dtype, dims, data: new Elements(whole.buffer) } as Tensor];
    }),
  );
}

/**
 * The opposite of `join`: one map for each of `sizes`, of tensors that share no memory.
 * @throws RangeError when an output has not as many samples as were put in
 */
export function split(whole: ReadonlyMap<string, Tensor>, sizes: readonly number[]): Map<string, Tensor>[] {
  const samples = sizes.reduce((sum, size) => sum + size, 0);
  let from = 0;
  return sizes.map((size) => {
    const part = new Map<string, Tensor>();
    for (const [name, { dtype, dims, data }] of whole) {
      if (dims[0] !== samples) throw new RangeError(`output "${name}" is [${dims}] for ${samples} samples`);
      const each = data.length / samples;
      const own = data.slice(from * each, (from + size) * each);
      part.set(name, { dtype, dims: [size, ...dims.slice(1)], data: own } as Tensor);
    }
    from += size;
    return part;
  });
}
