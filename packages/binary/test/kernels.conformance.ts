/**
 * What every implementation of the kernels must pass: each value of each program equals the reference interpreter's,
 * bit for bit, but for dense layers of real numbers, which may differ by rounding. It knows no test runner, so that
 * it runs in Node and in any browser.
 */
import { type Random, random } from '@tierwise/core';
import { prepare } from '../src/fast/executor.ts';
import type { KernelSource } from '../src/kernels/kernels.ts';
import type { LoadedProgram, ProgramOutput, Shape } from '../src/program.ts';
import { runReference, type ValueData } from '../src/reference.ts';
import { ProgramBuilder, square } from './program-builder.ts';

export interface ConformanceCase {
  readonly name: string;
  /** @throws Error that names the first element that differs */
  readonly run: (source: KernelSource) => Promise<void>;
}

/** A program, samples for it and what the reference makes of them. */
interface Exam {
  readonly loaded: LoadedProgram;
  readonly samples: readonly Float32Array[];
  readonly expected: readonly (readonly (ValueData | undefined)[])[];
  /** Sets of values to ask for, one after the other: what nobody asks for is fused away. */
  readonly wanted: readonly (readonly number[])[];
}

/** The reference is by far the slowest, so it runs once for all implementations. */
function conformanceCase(name: string, make: () => Exam[]): ConformanceCase {
  let exams: Exam[] | undefined;
  return {
    name,
    async run(source) {
      exams ??= make();
      for (const exam of exams) await sit(exam, source);
    },
  };
}

/** Samples are pixels through `change`, as they are by default, and turned round. */
function exam(
  loaded: LoadedProgram,
  draw: Random,
  wanted: Exam['wanted'],
  change = (pixel: number) => pixel,
): Exam {
  const { c, h, w } = loaded.program.input.shape;
  const pixels = Float32Array.from({ length: c * h * w }, () => draw.below(256));
  const samples = [pixels.map(change), pixels.map((x) => change(255 - x))];
  return { loaded, samples, expected: samples.map((sample) => runReference(loaded, sample)), wanted };
}

/** Every size around those of vectors, words and blocks, with every window that networks use. */
export function gridCases(): ConformanceCase[] {
  const channelCounts = [1, 3, 8, 20, 31, 32, 33, 50, 64, 96, 128, 512];
  return channelCounts.flatMap((channels) =>
    [1, 2, 3, 5, 7].map((kernel) =>
      conformanceCase(`${channels} channels, kernel ${kernel}`, () =>
        [1, 2].flatMap((stride) =>
          [0, 1, 2].flatMap((pad) =>
            [false, true].flatMap((pooled) =>
              [false, true].map((flip) => {
                const draw = random(channels * 1000 + kernel * 100 + stride * 10 + pad);
                const shape = { c: channels, h: kernel + draw.below(4), w: kernel + 1 + draw.below(4) };
                // Output channels go through the same numbers, kept small where there is much to multiply.
                const outputs = channelCounts[draw.below(kernel * channels > 600 ? 8 : 11)]!;
                const b = new ProgramBuilder(shape, draw);
                const bits = b.binarize(0, 200, false);
                const sums = b.convBinary(bits, square(kernel, stride, pad), outputs);
                const { h, w } = b.values[sums]!.shape;
                const pool = square(Math.min(2 + draw.below(2), h, w), 2, 0);
                const reduced = pooled ? b.maxPool(sums, pool) : sums;
                const last = b.binarize(reduced, Math.sqrt(channels) * kernel * 2, flip);
                return exam(b.finish([last, bits, sums]), draw, [[last], [bits, sums, last]]);
              }),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Depthwise convolutions, whose sums become bits, reals and pools of them. */
export function depthwiseCases(): ConformanceCase[] {
  return [1, 3, 8, 20, 31, 32, 33, 64, 96].flatMap((channels) =>
    [1, 2, 3, 5, 7].map((kernel) =>
      conformanceCase(`${channels} channels, each by itself, kernel ${kernel}`, () =>
        [1, 2].flatMap((stride) =>
          [0, 1, 2, 3].map((pad) => {
            const draw = random(channels * 1000 + kernel * 100 + stride * 10 + pad);
            const shape = { c: channels, h: kernel + draw.below(4), w: kernel + 1 + draw.below(4) };
            const b = new ProgramBuilder(shape, draw);
            const bits = b.binarize(0, 200, false);
            const sums = b.depthwise(bits, square(kernel, stride, pad));
            const { h, w } = b.values[sums]!.shape;
            const ends = [
              b.binarize(sums, 70 * kernel, true),
              b.affine(sums, stride === 1),
              b.maxPool(sums, square(Math.min(2, h, w), 2, 0)),
              // Others read the same bits with a border of -1, which is nothing here.
              b.convBinary(bits, square(kernel, stride, pad), 5),
            ];
            return exam(b.finish([...ends, bits, sums]), draw, [[ends[0]!], [...ends, bits, sums]]);
          }),
        ),
      ),
    ),
  );
}

/** Windows that are not square, dense layers, sums too long for i16, and everything that is done to reals. */
export function specialCases(): ConformanceCase[] {
  const make = (
    name: string,
    shape: Shape,
    build: (b: ProgramBuilder) => number[],
    change?: (pixel: number) => number,
  ) =>
    conformanceCase(name, () => {
      const draw = random(name.length);
      const b = new ProgramBuilder(shape, draw);
      const outputs = build(b);
      return [exam(b.finish(outputs), draw, [outputs], change)];
    });
  const window = { kernelH: 1, kernelW: 5, strideH: 2, strideW: 1, padH: 0, padW: 2 };
  return [
    make('a window that is not square', { c: 9, h: 6, w: 11 }, (b) => [
      b.binarize(b.convBinary(b.binarize(0, 200, true), window, 40), 20, true),
      b.depthwise(b.binarize(0, 200, true), window),
    ]),
    make('depthwise sums beyond i16', { c: 10, h: 17, w: 18 }, (b) => {
      const bits = b.binarize(0, 1e9, true);
      return [b.depthwise(bits, square(16, 1, 0), -128), b.depthwise(bits, square(17, 1, 2), -128)];
    }),
    make('the longest depthwise sums in i16', { c: 21, h: 15, w: 17 }, (b) => {
      const window = { ...square(15, 1, 0), kernelW: 17 };
      return [b.depthwise(b.allMinus(0), window, -128), b.depthwise(b.binarize(0, 1e9, true), window, -128)];
    }),
    make('windows that lie in the padding alone', { c: 10, h: 3, w: 2 }, (b) => [
      b.depthwise(b.binarize(0, 200, true), square(2, 1, 4)),
    ]),
    make('depthwise and 1x1 layers one after the other, with running sums', { c: 24, h: 7, w: 7 }, (b) => {
      let sum = b.affine(0, false);
      for (let block = 0; block < 2; block++) {
        const each = b.depthwise(b.binarize(sum, 200, false), square(3, 1, 1));
        sum = b.add(b.affine(each, false), sum);
        const sums = b.convBinary(b.binarize(sum, 200, true), square(1, 1, 0), 24);
        sum = b.add(b.affine(sums, false), sum);
      }
      return [b.meanPool(sum), sum];
    }),
    make('dense layers over planes', { c: 50, h: 4, w: 4 }, (b) => {
      const hidden = b.denseBinary(b.binarize(0, 200, false), 500);
      return [hidden, b.denseReal(b.affine(hidden, true), 10)];
    }),
    make('a dense layer over planes of 49', { c: 70, h: 7, w: 7 }, (b) => [
      b.binarize(b.denseBinary(b.binarize(0, 200, false), 130), 100, true),
    ]),
    make('a dense layer that reads a value with a border', { c: 5, h: 5, w: 3 }, (b) => {
      const bits = b.binarize(0, 200, false);
      return [b.convBinary(bits, square(3, 1, 1), 4), b.denseBinary(bits, 33)];
    }),
    make('the longest sums that are compared in i16', { c: 4095, h: 2, w: 4 }, (b) => [
      b.binarize(b.denseBinary(b.binarize(0, 200, false), 3), 300, true),
    ]),
    make('sums longer than i16 of one pixel', { c: 4096, h: 2, w: 5 }, (b) => {
      const sums = b.denseBinary(b.binarize(0, 200, false), 70);
      return [sums, b.binarize(sums, 300, true)];
    }),
    make('sums longer than i16 of many pixels', { c: 2000, h: 6, w: 7 }, (b) => {
      const sums = b.convBinary(b.binarize(0, 200, false), square(5, 1, 1), 3);
      return [sums, b.binarize(b.maxPool(sums, square(2, 1, 1)), 300, true)];
    }),
    make('bits that are all alike', { c: 33, h: 5, w: 5 }, (b) => {
      const bits = b.binarize(0, 1e9, true);
      return [bits, b.convBinary(bits, square(3, 1, 1), 70)];
    }),
    ...[63, 64, 455].map((channels) =>
      make(`${9 * channels} products that are all -1`, { c: channels, h: 4, w: 5 }, (b) => {
        b.sign = () => 1;
        const sums = b.convBinary(b.allMinus(0), square(3, 1, 1), 70);
        return [sums, b.binarize(sums, 9 * channels, true)];
      }),
    ),
    ...[32767, 32768, 65536].flatMap((terms) => [
      make(`${terms} products that are all -1, for one pixel`, { c: terms, h: 1, w: 1 }, (b) => {
        b.sign = () => 1;
        const sums = b.denseBinary(b.allMinus(0), 5);
        return [b.binarize(sums, terms, true)];
      }),
      make(`${terms} products that are all -1, for three pixels`, { c: terms, h: 1, w: 3 }, (b) => {
        b.sign = () => 1;
        const sums = b.convBinary(b.allMinus(0), square(1, 1, 0), 35);
        return [b.binarize(sums, terms, true)];
      }),
    ]),
    make('a real stem with padding', { c: 3, h: 13, w: 9 }, (b) => {
      const stem = b.affine(b.maxPool(b.convReal(0, square(7, 2, 3), 30, 100), square(3, 2, 1)), true);
      return [stem, b.binarize(stem, 1000, true)];
    }),
    // Whole pixels may be taken as integers; these may not, or just so.
    ...[1, 3, 4].flatMap((channels) => [
      make(
        `a stem of ${channels} on half pixels`,
        { c: channels, h: 9, w: 8 },
        (b) => [b.convReal(0, square(3, 1, 1), 13, 100)],
        (pixel) => pixel / 2,
      ),
      make(
        `a stem of ${channels} on pixels beyond int16`,
        { c: channels, h: 9, w: 8 },
        (b) => [b.convReal(0, square(3, 1, 1), 13, 5)],
        (pixel) => 200 * pixel - 25000,
      ),
      make(
        `a stem of ${channels} on whole and other pixels`,
        { c: channels, h: 9, w: 8 },
        (b) => [b.convReal(0, square(2, 2, 1), 5, 100)],
        (pixel) => (pixel > 250 ? pixel + 0.5 : -pixel),
      ),
    ]),
    make('real convolutions one after the other', { c: 5, h: 8, w: 8 }, (b) => {
      const first = b.convReal(0, square(3, 1, 1), 6, 3);
      return [b.convReal(first, square(2, 2, 0), 21, 3), first];
    }),
    make('running sums', { c: 40, h: 6, w: 6 }, (b) => {
      let sum = b.affine(0, false);
      for (let block = 0; block < 3; block++) {
        const bits = b.binarize(sum, 200, block === 1);
        const y = b.affine(b.convBinary(bits, square(3, 1, 1), 40), block === 2);
        sum = block === 0 ? b.add(y, sum) : b.add(sum, y);
      }
      return [b.denseReal(b.meanPool(sum), 7), sum];
    }),
    make('a sum of two batch norms, and of a value with itself', { c: 6, h: 3, w: 3 }, (b) => {
      const y = b.add(b.affine(0, true), b.affine(0, false));
      return [b.binarize(b.add(y, y), 100, true)];
    }),
    make('the input itself', { c: 1, h: 5, w: 5 }, (b) => [0, b.maxPool(0, square(3, 1, 1))]),
    make('the input of several channels itself', { c: 6, h: 2, w: 2 }, (b) => [0, b.meanPool(0)]),
    make('one number', { c: 1, h: 1, w: 1 }, (b) => [b.denseBinary(b.binarize(0, 200, false), 1)]),
  ];
}

/** A random program: any operation on any value that it can take. */
export function randomCase(seed: number): ConformanceCase {
  return conformanceCase(`random program ${seed}`, () => {
    const draw = random(seed);
    const shape = { c: 1 + draw.below(12), h: 1 + draw.below(9), w: 1 + draw.below(9) };
    const b = new ProgramBuilder(shape, draw);
    /** Values are whole numbers up to so much; 0 when they are not whole. */
    const whole = [255];
    /** Dense layers of reals differ by rounding, so nothing may depend on them. */
    const rough = new Set<number>();
    for (let i = 4 + draw.below(10); i > 0; i--) grow(b, draw, whole, rough);
    const last = b.values.length - 1;
    const outputs = b.values
      .map((_, value) => value)
      .filter((value) => value === last || draw.below(3) === 0);
    return [exam(b.finish(outputs), draw, [outputs, [last]])];
  });
}

function grow(b: ProgramBuilder, draw: Random, whole: number[], rough: Set<number>): void {
  // Late values are likelier, so that programs become deep.
  const input = Math.max(draw.below(b.values.length), draw.below(b.values.length));
  if (rough.has(input)) return;
  const { kind, shape } = b.values[input]!;
  const { c, h, w } = shape;
  const channels = 1 + draw.below(draw.below(4) ? 40 : 140);
  const kernelH = 1 + draw.below(Math.min(4, h));
  const kernelW = 1 + draw.below(Math.min(4, w));
  const window = {
    kernelH,
    kernelW,
    strideH: 1 + draw.below(2),
    strideW: 1 + draw.below(2),
    padH: draw.below(kernelH),
    padW: draw.below(kernelW),
  };
  const choice = draw.below(6);
  if (kind === 'bits') {
    if (choice === 0) b.maxPool(input, window);
    else if (choice === 1) b.denseBinary(input, channels);
    else if (choice === 2) b.depthwise(input, window);
    else b.convBinary(input, window, channels);
  } else if (choice === 0) b.maxPool(input, window);
  else if (choice < 3) b.binarize(input, kind === 'sums' ? 30 : 100, draw.below(2) === 0);
  else if (choice === 3 || kind === 'sums') b.affine(input, draw.below(2) === 0);
  else if (choice === 4) {
    const others = b.values.flatMap((value, i) => {
      const same = value.shape.c === c && value.shape.h === h && value.shape.w === w;
      return value.kind === 'real' && same && !rough.has(i) ? [i] : [];
    });
    b.add(input, others[draw.below(others.length)]!);
  } else if ((whole[input] ?? 0) * c * kernelH * kernelW * 9 < 2 ** 24 && (whole[input] ?? 0) > 0) {
    whole[b.convReal(input, window, channels, 9)] = whole[input]! * c * kernelH * kernelW * 9;
  } else if (draw.below(2)) b.meanPool(input);
  else rough.add(b.denseReal(input, channels));
}

/** One sample comes again after another, so that what the other left in memory would be seen. */
async function sit({ loaded, samples, expected, wanted }: Exam, source: KernelSource): Promise<void> {
  for (const values of wanted) {
    const outputs = loaded.program.outputs.filter(({ value }) => values.includes(value));
    const executor = await prepare(loaded, source, outputs);
    for (const i of [0, 1, 0]) {
      executor.run(samples[i]!);
      outputs.forEach((output, at) => {
        check(loaded, output, executor.outputs[at]!, expected[i]!);
      });
    }
  }
}

function check(
  loaded: LoadedProgram,
  { value }: ProgramOutput,
  found: Float32Array,
  values: readonly (ValueData | undefined)[],
): void {
  const { kind } = loaded.values[value]!;
  const expected = values[value]!;
  const allowed = rounding(loaded, value, values);
  if (found.length !== expected.length) throw new Error(`value ${value}: ${found.length} elements`);
  for (let i = 0; i < found.length; i++) {
    const wanted = kind === 'bits' ? 2 * expected[i]! - 1 : expected[i]!;
    if (!(Math.abs(found[i]! - wanted) <= (allowed?.[i] ?? 0))) {
      const ops = loaded.program.ops.map((op) => op.kind).join(', ');
      throw new Error(
        `value ${value} (${kind}), element ${i}: ${found[i]}, expected ${wanted}; program: ${ops}`,
      );
    }
  }
}

/** What a dense layer of reals may differ by: a millionth of its products' sum of magnitudes. Nothing else may. */
function rounding(
  { program, tensors }: LoadedProgram,
  value: number,
  values: readonly (ValueData | undefined)[],
): number[] | undefined {
  const op = program.ops[value - 1];
  if (op?.kind !== 'denseReal') return undefined;
  const x = values[op.input]!;
  const weights = tensors.get(op.weights)!.data as Float32Array;
  const bias = tensors.get(op.bias)!.data as Float32Array;
  return Array.from(bias, (start, k) => {
    let magnitudes = Math.abs(start);
    for (let i = 0; i < x.length; i++) magnitudes += Math.abs(weights[k * x.length + i]! * x[i]!);
    return 1e-6 * magnitudes;
  });
}
