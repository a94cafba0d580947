/** Random composites as ONNX, of the pattern that `compileBranch` takes: sizes, order and signs vary. */
import { elementCount, random, tensor } from '@tierwise/core';
import { GraphBuilder, inferShapes, type ModelProto, type Value, writeOnnx } from '@tierwise/graph';
import * as ort from 'onnxruntime-node';
import { draw, plusMinus } from './naive.ts';

/** A tensor of the network; `range`: its values lie in [-range, range], or mostly so. */
interface Feature {
  readonly value: Value;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly range: number;
}

export interface RandomNetwork {
  readonly model: ModelProto;
  /** Two samples [2, c, h, w] of whole numbers 0..255. */
  readonly pixels: { readonly dims: readonly number[]; readonly data: Float32Array };
  /** Every sum, every sign and the stem: what a program must give bit for bit. */
  readonly exact: readonly Value[];
  readonly stem: Value;
  readonly logits: Value;
}

/** The network of `seed`: a stem, one or two binary convolutions, a binary dense layer and a real one. */
export function randomNetwork(seed: number): RandomNetwork {
  const n = random(seed);
  const b = new GraphBuilder('random');
  const chance = (share: number) => n.uniform() < share;
  const exact: Value[] = [];
  let weights = 0;

  const constant = (dims: readonly number[], values: readonly number[]) =>
    b.initializer(`w${++weights}`, tensor('float32', dims, Float32Array.from(values)));

  /** +-1 weights as float32, or as int8 behind a Cast. */
  const signs = (...dims: readonly number[]) => {
    const values = draw(elementCount(dims), plusMinus(n));
    if (chance(0.5)) return constant(dims, values);
    return b.op('Cast', [b.initializer(`w${++weights}`, tensor('int8', dims, Int8Array.from(values)))], {
      to: 1,
    });
  };

  const slide = (
    x: Feature,
    op: string,
    kernel: readonly number[],
    strides: readonly number[],
    pads: readonly number[],
  ) => {
    const [h, w] = [x.h, x.w].map(
      (size, i) => Math.floor((size + 2 * pads[i]! - kernel[i]!) / strides[i]!) + 1,
    ) as [number, number];
    return { attributes: { kernel_shape: kernel, strides, pads: [...pads, ...pads] }, op, h, w };
  };

  const conv = (x: Feature, binary: boolean): Feature => {
    const channels = 1 + n.below(20);
    const kernel = [1 + n.below(Math.min(4, x.h)), 1 + n.below(Math.min(4, x.w))];
    const pads = kernel.map((size) => (chance(0.5) ? n.below(size) : 0));
    const { attributes, h, w } = slide(x, 'Conv', kernel, [1 + n.below(2), 1 + n.below(2)], pads);
    const dims = [channels, x.c, ...kernel];
    const terms = elementCount(dims) / channels;
    if (!binary) {
      const weights = constant(
        dims,
        draw(elementCount(dims), () => n.below(127) - 63),
      );
      return { value: b.op('Conv', [x.value, weights], attributes), c: channels, h, w, range: 1000 };
    }
    const padded = pads.some((pad) => pad > 0)
      ? b.op('Pad', [x.value, b.ints(0, 0, ...pads, 0, 0, ...pads), b.scalar(-1)])
      : x.value;
    const value = b.op('Conv', [padded, signs(...dims)], { ...attributes, pads: [0, 0, 0, 0] });
    exact.push(value);
    return { value, c: channels, h, w, range: terms };
  };

  const pool = (x: Feature): Feature => {
    if (chance(0.4) || x.h < 2 || x.w < 2) return x;
    const { attributes, h, w } = slide(x, 'MaxPool', [2, 2], [2, 2], chance(0.3) ? [1, 1] : [0, 0]);
    return { ...x, value: b.op('MaxPool', [x.value], attributes), h, w };
  };

  /** Mul and Add, scales of either sign and some 0; every second bias makes some whole number exactly 0. */
  const norm = (x: Feature, rank: 2 | 4): Feature => {
    const scales = draw(x.c, () => Math.fround(chance(0.05) ? 0 : n.normal() * 10 ** (n.below(5) - 3)));
    const biases = scales.map((scale) => {
      const zeroAt = Math.round((n.uniform() * 2 - 1) * x.range);
      return chance(0.5) ? -Math.fround(scale * zeroAt) : (n.normal() - zeroAt) * scale;
    });
    const dims = rank === 4 ? [1, x.c, 1, 1] : [1, x.c];
    const value = b.add(b.mul(x.value, constant(dims, scales)), constant(dims, biases));
    return { ...x, value, range: 1 };
  };

  const sign = (x: Feature): Feature => {
    const value = b.sign(x.value);
    exact.push(value);
    return { ...x, value };
  };

  const [c, h, w] = [1 + n.below(3), 4 + n.below(9), 4 + n.below(9)];
  const input = b.input('pixels', 'float32', ['N', c, h, w]);
  let x = norm(pool(conv({ value: input, c, h, w, range: 255 }, false)), 4);
  const relu = chance(0.7);
  const stem = b.op('Identity', [relu ? b.relu(x.value) : x.value], {}, 'stem');
  exact.push(stem);
  x = sign(norm({ ...x, value: stem }, 4));
  for (let blocks = 1 + n.below(2); blocks > 0; blocks--) {
    x = conv(x, true);
    // Before the norm, after it, or after the sign.
    const at = n.below(3);
    if (at === 0) x = pool(x);
    x = norm(x, 4);
    if (at === 1) x = pool(x);
    x = sign(x);
    if (at === 2) x = pool(x);
  }
  const features = x.c * x.h * x.w;
  const flat = chance(0.5) ? b.op('Flatten', [x.value]) : b.op('Reshape', [x.value, b.ints(0, features)]);
  const units = 1 + n.below(40);
  const dense = chance(0.5)
    ? b.gemm(flat, signs(units, features), { transB: 1 })
    : b.op('MatMul', [flat, signs(features, units)]);
  exact.push(dense);
  const scale = constant(
    [1, units],
    draw(units, () => (n.normal() * 2) / features),
  );
  const hidden = b.relu(
    b.add(
      b.mul(dense, scale),
      constant(
        [units],
        draw(units, () => n.normal()),
      ),
    ),
  );
  const last = constant(
    [10, units],
    draw(10 * units, () => n.normal() / Math.sqrt(units)),
  );
  const logits = b.gemm(hidden, last, {
    transB: 1,
    c: constant(
      [10],
      draw(10, () => n.normal()),
    ),
  });

  const types = inferShapes(b.model);
  for (const value of [...exact, logits]) {
    b.output(value, 'float32', ['N', ...types.get(value)!.dims.slice(1)]);
  }
  const data = Float32Array.from({ length: 2 * c * h * w }, () => n.below(256));
  return { model: b.model, pixels: { dims: [2, c, h, w], data }, exact, stem, logits };
}

/** What onnxruntime gives for `outputs`, every node by itself as the graph says. */
export async function runOnnx(
  { model, pixels }: Pick<RandomNetwork, 'model' | 'pixels'>,
  outputs: readonly string[],
): Promise<Map<string, { dims: readonly number[]; data: Float32Array }>> {
  const session = await ort.InferenceSession.create(writeOnnx(model), {
    graphOptimizationLevel: 'disabled',
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  try {
    const results = await session.run({ pixels: new ort.Tensor('float32', pixels.data, pixels.dims) }, [
      ...outputs,
    ]);
    return new Map(
      outputs.map((name) => [name, { dims: results[name]!.dims, data: results[name]!.data as Float32Array }]),
    );
  } finally {
    await session.release();
  }
}
