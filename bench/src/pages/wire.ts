import { packedBits } from '@tierwise/wire';
import { type Codec, ours, type Packing, rivals } from './codecs.ts';
import { bytesOf } from './files.ts';
import { offer } from './offer.ts';
import { type RaceOptions, type RaceTimes, race } from './race.ts';

/** What the page is asked for: tensors of one shape, one after the other in the file `name`. */
export interface WireInput extends Packing {
  readonly name: string;
  readonly race: RaceOptions;
}

/** For each codec the mean bytes of a tensor; milliseconds to pack all tensors, and to unpack them. */
export interface WireOutput {
  readonly bytes: Readonly<Record<string, number>>;
  readonly packMs: RaceTimes;
  readonly unpackMs: RaceTimes;
}

offer(async ({ name, race: options, ...packing }: WireInput): Promise<WireOutput> => {
  const size = packing.dims.reduce((a, b) => a * b, 1);
  const all = new Float32Array(await bytesOf(`${name}.bin`));
  const tensors = Array.from({ length: all.length / size }, (_, i) => all.slice(i * size, (i + 1) * size));
  const codecs = [...packedBits.map((bits) => ours(bits, packing)), ...rivals(packing)];
  const packed = new Map<Codec, Uint8Array<ArrayBuffer>[]>();
  for (const codec of codecs) packed.set(codec, await each(tensors, codec.pack));
  const mean = (parts: readonly Uint8Array[]) =>
    parts.reduce((sum, { length }) => sum + length, 0) / parts.length;
  const work = <T>(items: (codec: Codec) => readonly T[], does: (codec: Codec) => (item: T) => unknown) =>
    race(
      codecs.map((codec) => ({ name: codec.name, run: () => each(items(codec), does(codec)) })),
      options,
    );
  return {
    bytes: Object.fromEntries(codecs.map((codec) => [codec.name, mean(packed.get(codec)!)])),
    packMs: await work(
      () => tensors,
      ({ pack }) => pack,
    ),
    unpackMs: await work(
      (codec) => packed.get(codec)!,
      ({ unpack }) => unpack,
    ),
  };
});

/** One after the other, and waiting only for what is not there at once. */
async function each<T, R>(items: readonly T[], work: (item: T) => R | Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) {
    const result = work(item);
    results.push(result instanceof Promise ? await result : result);
  }
  return results;
}
