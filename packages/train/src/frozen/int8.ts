import { elementCount, type Tensor, TierwiseError, tensor } from '@tierwise/core';
import {
  calibrationTensors,
  extract,
  foldAffine,
  type ModelProto,
  quantizeInt8,
  type Range,
  writeOnnx,
} from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import { type Backbone, fixedBatch, openBackbone } from './backbone.ts';

/**
 * What `quantizeInt8` needs to know: the least and largest value of each of `model`'s float32 tensors over `inputs`,
 * batches of its only input.
 * @throws TierwiseError what running a model throws
 */
export async function observedRanges(
  model: ModelProto,
  inputs: Iterable<Tensor<'float32'>>,
  threads?: number,
): Promise<Map<string, Range>> {
  const input = model.graph!.input[0]!.name;
  const outputs = calibrationTensors(model).filter((name) => name !== input);
  const watched = extract(foldAffine(model), { inputs: [input], outputs });
  const session = await openSession(writeOnnx(watched), threads === undefined ? {} : { threads });
  const ranges = new Map<string, Range>();
  const see = (name: string, values: Float32Array) => {
    let { lo, hi } = ranges.get(name) ?? { lo: Number.POSITIVE_INFINITY, hi: Number.NEGATIVE_INFINITY };
    for (const x of values) {
      if (x < lo) lo = x;
      if (x > hi) hi = x;
    }
    ranges.set(name, { lo, hi });
  };
  try {
    for (const batch of inputs) {
      see(input, batch.data);
      for (const [name, { data }] of await session.run({ [input]: batch })) see(name, data as Float32Array);
    }
  } finally {
    await session.dispose();
  }
  return ranges;
}

/** The first `samples` of `all` in batches of `size`, or as one; what is left over is left out. */
function* batches(
  { data, dims }: Tensor<'float32'>,
  samples: number,
  size: number = samples,
): Generator<Tensor<'float32'>> {
  const [, ...shape] = dims;
  const each = elementCount(shape);
  for (let at = 0; at + size <= samples; at += size)
    yield tensor('float32', [size, ...shape], data.slice(at * each, (at + size) * each));
}

/** Least share of pictures that must be given the same class in 8 bits and in 32. */
const leastAlike = 0.95;

/**
 * `backbone` with all that follows its stem in 8 bits: a teacher whose scores cost about a quarter of the time where
 * the processor multiplies bytes (ResNet-18 on a core with VNNI: 0.51 instead of 1.9 s for 128 pictures, all 128 of
 * them given the same class). The stem gives what it gave before, to the bit.
 *
 * `pixels` uint8 [n, c, h, w] are training pictures: the first half tells the ranges, all of them whether classes stay.
 * @throws TierwiseError MODEL_UNSUPPORTED when fewer than 95 % of them do; what running a model throws
 */
export async function int8Teacher(
  backbone: Backbone,
  pixels: Tensor<'uint8'>,
  threads: number,
): Promise<Backbone> {
  const { model, ports, preprocess } = backbone;
  const opened = await openBackbone(backbone, threads);
  const real = await opened.run(pixels).finally(() => opened[Symbol.asyncDispose]());
  const rest = extract(model, { inputs: [ports.stem], outputs: [ports.scores] });
  const n = pixels.dims[0]!;
  const atOnce = fixedBatch(rest, ports.stem);
  const half = Math.max(atOnce ?? 1, n >> 1);
  const ranges = await observedRanges(rest, batches(real.stem, half, atOnce), threads);
  const small = quantizeInt8(rest, ranges);
  const whole = extract(model, { inputs: [ports.input], outputs: [ports.stem] });
  const [head, tail] = [whole.graph!, small.graph!];
  const stored = new Set(head.initializer.map(({ name }) => name));
  head.node.push(...tail.node);
  head.initializer.push(...tail.initializer.filter(({ name }) => !stored.has(name)));
  head.output.push(...tail.output);
  const teacher = { model: whole, ports, preprocess };

  const again = await openBackbone(teacher, threads);
  const { scores } = await again.run(pixels).finally(() => again[Symbol.asyncDispose]());
  const classes = scores.dims[1]!;
  const best = (of: Tensor<'float32'>, row: number) => {
    const values = of.data.subarray(row * classes, (row + 1) * classes);
    return values.indexOf(Math.max(...values));
  };
  const rows = Array.from({ length: n }, (_, row) => row);
  const alike = rows.filter((row) => best(scores, row) === best(real.scores, row)).length / n;
  if (alike < leastAlike)
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `in 8 bits the network gives only ${Math.floor(alike * 100)} % of ${n} pictures the class that it gives them in 32: train without --teacher int8`,
      { alike },
    );
  return teacher;
}
