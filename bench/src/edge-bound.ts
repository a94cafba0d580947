import { type Tensor, TierwiseError, tensor } from '@tierwise/core';
import { extract, writeOnnx } from '@tierwise/graph';
import { type OrtSession, openSession } from '@tierwise/ort';
import { ports } from '@tierwise/train';
import { pack, unpack } from '@tierwise/wire';
import type { Digits } from './digits.ts';

/** What an edge computes for a request: what follows the stem, or the whole network. */
export type Part = 'rest' | 'whole';

/** ONNX Runtime alone, one thread: what it answers, and how fast it is at best. */
export interface Bound extends AsyncDisposable {
  /** Samples a second over about `ms`, `batch` in a run. */
  turn(part: Part, batch: number, ms: number): Promise<number>;
  /** For each digit. */
  scores(part: Part): readonly (readonly number[])[];
  /**
   * Compares the scores that `who` gave for each digit.
   * @throws TierwiseError INTERNAL when they differ by more than the order of additions can make
   */
  check(part: Part, scores: readonly (readonly number[])[], who: string): void;
}

/** Batched and single runs add in different orders. */
const tolerance = 1e-3;

interface Alone {
  readonly input: string;
  readonly session: OrtSession;
  /** What the network is given for each digit, and what it makes of it. */
  readonly samples: readonly Tensor<'float32'>[];
  readonly scores: readonly (readonly number[])[];
}

export async function openBound(digits: Digits): Promise<Bound> {
  const { manifest, pixels, stems } = digits;
  // The edge gets stems as their bits hold them.
  const sent = stems.map((stem) => unpack(pack(stem, manifest.codec)));
  const parts: Record<Part, Alone> = {
    rest: await openAlone(digits, ports.stem, sent),
    whole: await openAlone(digits, ports.input, pixels),
  };
  return {
    async turn(part, batch, ms) {
      const { input, session, samples } = parts[part];
      const data = new Float32Array(batch * samples[0]!.data.length);
      for (let i = 0; i < batch; i++)
        data.set(samples[i % samples.length]!.data, i * samples[0]!.data.length);
      const feeds = { [input]: tensor('float32', [batch, ...samples[0]!.dims.slice(1)], data) };
      const begun = performance.now();
      let done = 0;
      for (; performance.now() < begun + ms; done += batch) await session.run(feeds);
      return (1000 * done) / (performance.now() - begun);
    },
    scores: (part) => parts[part].scores,
    check(part, scores, who) {
      for (const [i, expected] of parts[part].scores.entries()) {
        const scale = Math.max(...expected.map(Math.abs));
        const found = scores[i];
        if (
          found?.length === expected.length &&
          found.every((x, c) => Math.abs(x - expected[c]!) <= tolerance * scale)
        )
          continue;
        throw new TierwiseError(
          'INTERNAL',
          `internal: ${who} answers ${found} for digit ${i}, not ${expected}`,
        );
      }
    },
    async [Symbol.asyncDispose]() {
      for (const { session } of Object.values(parts)) await session.dispose();
    },
  };
}

async function openAlone({ model }: Digits, input: string, samples: Alone['samples']): Promise<Alone> {
  const session = await openSession(writeOnnx(extract(model, { inputs: [input], outputs: [ports.main] })));
  const scores: number[][] = [];
  for (const sample of samples) {
    const outputs = await session.run({ [input]: sample });
    scores.push(Array.from(outputs.get(ports.main)!.data, Number));
  }
  return { input, session, samples, scores };
}
