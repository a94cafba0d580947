import { random, type Tensor, TierwiseError, tensor, writeSafetensors } from '@tierwise/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { prepare } from './fast/executor.ts';
import { checksum, readProgram, writeProgram } from './file.ts';
import { kernelSource } from './kernels/choose.ts';
import type { Op, Program, Window } from './program.ts';
import { runReference } from './reference.ts';
import { programSummary } from './summary.ts';

const window: Window = { kernelH: 3, kernelW: 3, strideH: 1, strideW: 1, padH: 1, padW: 1 };
const pool: Window = { kernelH: 2, kernelW: 2, strideH: 2, strideW: 2, padH: 0, padW: 0 };

/** A program with every operation: [1, 6, 6] pixels to 4 scores. */
const program: Program = {
  input: { tensor: 'pixels', shape: { c: 1, h: 6, w: 6 } },
  ops: [
    { kind: 'convReal', input: 0, output: 1, window, weights: 'stem', channels: 3 },
    { kind: 'affine', input: 1, output: 2, scale: 'scale', bias: 'bias', relu: true },
    { kind: 'binarize', input: 2, output: 3, threshold: 'reals' },
    { kind: 'convBinary', input: 3, output: 4, window, weights: 'conv', channels: 5 },
    { kind: 'maxPool', input: 4, output: 5, window: pool },
    { kind: 'binarize', input: 5, output: 6, threshold: 'sums', flip: 'flip' },
    { kind: 'denseBinary', input: 6, output: 7, weights: 'dense', channels: 7 },
    { kind: 'affine', input: 7, output: 8, scale: 'scale2', bias: 'bias2', relu: false },
    { kind: 'denseReal', input: 8, output: 9, weights: 'last', bias: 'lastBias', channels: 4 },
    { kind: 'depthwise', input: 3, output: 10, window, weights: 'each' },
  ],
  outputs: [
    { tensor: 'each', value: 10, dims: [1, 3, 6, 6] },
    { tensor: 'stem', value: 2, dims: [1, 3, 6, 6] },
    { tensor: 'scores', value: 9, dims: [1, 4] },
  ],
};

const halves = (length: number) => tensor('float16', [length], new Uint16Array(length).fill(0x3800));
/** A bit stream of `length` bytes whose last three bits may be unused. */
const bytes = (length: number) => tensor('uint8', [length], new Uint8Array(length).fill(0x05));

function tensors(): Map<string, Tensor> {
  const n = random(1);
  const noise = (...dims: number[]) => {
    const length = dims.reduce((a, b) => a * b);
    return tensor(
      'float32',
      dims,
      Float32Array.from({ length }, () => n.normal()),
    );
  };
  return new Map<string, Tensor>([
    [
      'stem',
      tensor(
        'int16',
        [3, 1, 3, 3],
        Int16Array.from({ length: 27 }, () => n.below(99) - 49),
      ),
    ],
    ['scale', noise(3)],
    ['bias', noise(3)],
    ['reals', noise(3)],
    ['conv', bytes(17)],
    ['sums', tensor('int16', [5], Int16Array.of(-3, 1, 28, 0, 2))],
    ['flip', tensor('uint8', [5], Uint8Array.of(0, 1, 0, 1, 0))],
    ['dense', bytes(40)],
    ['scale2', halves(7)],
    ['bias2', halves(7)],
    ['last', noise(4, 7)],
    ['lastBias', halves(4)],
    ['each', tensor('int8', [3, 3, 3], new Int8Array(27).fill(-128, 0, 9))],
  ]);
}

const pixels = Float32Array.from({ length: 36 }, (_, i) => (i * 37) % 256);

/** A file that says whatever it likes, with a checksum that fits. */
function forge(json: unknown, stored = tensors()): Uint8Array {
  const text = typeof json === 'string' ? json : JSON.stringify(json);
  return writeSafetensors(stored, {
    format: 'tierwise-program/1',
    program: text,
    crc32: checksum(text, stored),
  });
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof TierwiseError) return error.code;
    throw error;
  }
  return 'none';
}

test('a program comes back as it was written, and runs', () => {
  const loaded = readProgram(writeProgram(program, tensors()));
  expect(loaded.program).toEqual(program);
  expect(loaded.values.map(({ kind }) => kind).join(' ')).toBe(
    'real real real bits sums sums bits sums real real sums',
  );
  expect(loaded.values[9]!.shape).toEqual({ c: 4, h: 1, w: 1 });
  expect(runReference(loaded, pixels)[9]).toHaveLength(4);
});

test('float16 becomes float32 and int16 thresholds int32; whole stem weights stay int16', () => {
  const loaded = readProgram(writeProgram(program, tensors()));
  expect(loaded.tensors.get('lastBias')).toEqual(tensor('float32', [4], new Float32Array(4).fill(0.5)));
  expect(loaded.tensors.get('sums')).toEqual(tensor('int32', [5], Int32Array.of(-3, 1, 28, 0, 2)));
  expect(loaded.tensors.get('stem')!.dtype).toBe('int16');
  expect(loaded.stored.find(({ name }) => name === 'lastBias')).toEqual({
    name: 'lastBias',
    dtype: 'float16',
    dims: [4],
    bytes: 8,
  });
});

test('float16 ends compute as float32 ends of the same values do', () => {
  const wide = tensors();
  for (const name of ['scale2', 'bias2', 'lastBias']) {
    const { dims } = wide.get(name)!;
    wide.set(name, tensor('float32', dims, new Float32Array(dims[0]!).fill(0.5)));
  }
  const run = (stored: Map<string, Tensor>) =>
    runReference(readProgram(writeProgram(program, stored)), pixels)[9];
  expect(run(tensors())).toEqual(run(wide));
});

test('every truncation is refused', () => {
  const file = writeProgram(program, tensors());
  for (let length = 0; length < file.length; length++) {
    expect(codeOf(() => readProgram(file.subarray(0, length)))).toBe('SAFETENSORS_CORRUPT');
  }
});

test('every flipped bit is refused', () => {
  const file = writeProgram(program, tensors());
  const codes = new Set<string>();
  for (let bit = 0; bit < file.length * 8; bit++) {
    const damaged = file.slice();
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    codes.add(codeOf(() => readProgram(damaged)));
  }
  expect([...codes].sort()).toEqual(['PROGRAM_CORRUPT', 'SAFETENSORS_CORRUPT']);
});

test('bytes of any kind are refused with one of two codes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (noise, tail) => {
      const file = writeProgram(program, tensors());
      // Either noise alone, or noise over the middle of a good file.
      if (tail) file.set(noise, 8);
      const code = codeOf(() => readProgram(tail ? file : noise));
      expect(['SAFETENSORS_CORRUPT', 'PROGRAM_CORRUPT', ...(noise.length === 0 ? ['none'] : [])]).toContain(
        code,
      );
    }),
  );
});

/** The program with operation `index` changed. */
const withOp = (index: number, change: object): unknown => ({
  ...program,
  ops: program.ops.map((op, i) => (i === index ? { ...op, ...change } : op)),
});
const withTensor = (name: string, value: Tensor | undefined) => {
  const stored = tensors();
  if (value) stored.set(name, value);
  else stored.delete(name);
  return stored;
};
const huge = (op: object, shape = { c: 65536, h: 1, w: 1 }, dims = [1, 65536, 1, 1]) => ({
  input: { tensor: 'x', shape },
  ops: [op],
  outputs: [{ tensor: 'x', value: 0, dims }],
});

test.each<[string, unknown, Map<string, Tensor>?]>([
  ['not JSON', '{'],
  ['nested without end', '['.repeat(1_000_000)],
  ['another thing', []],
  ['an operation that is unknown', withOp(4, { kind: 'jump' })],
  ['a cycle', withOp(4, { input: 5 })],
  ['a value from later', withOp(0, { input: 9 })],
  ['a value written twice', withOp(4, { output: 4 })],
  ['a value that does not exist', withOp(4, { input: 4000 })],
  ['a fractional window', withOp(4, { window: { ...pool, kernelH: 1.5 } })],
  ['a stride of 0', withOp(4, { window: { ...pool, strideH: 0 } })],
  ['a window that does not fit', withOp(4, { window: { ...pool, kernelH: 99 } })],
  ['a pool in the padding', withOp(4, { window: { ...pool, padH: 2 } })],
  ['bits where reals are needed', withOp(7, { input: 6 })],
  ['sums where bits are needed', withOp(6, { input: 5 })],
  ['reals where a depthwise layer needs bits', withOp(9, { input: 2 })],
  ['a depthwise window that does not fit', withOp(9, { window: { ...window, kernelW: 9 } })],
  ['a depthwise layer without a window', withOp(9, { window: undefined })],
  ['an output that does not exist', { ...program, outputs: [{ tensor: 'x', value: 11, dims: [1, 4] }] }],
  ['an output of other dims', { ...program, outputs: [{ tensor: 'x', value: 9, dims: [1, 5] }] }],
  ['an output with a batch', { ...program, outputs: [{ tensor: 'x', value: 9, dims: [4, 1] }] }],
  ['an output twice', { ...program, outputs: [program.outputs[0], program.outputs[0]] }],
  ['no output', { ...program, outputs: [] }],
  ['too large an axis', { ...program, input: { tensor: 'x', shape: { c: 65537, h: 1, w: 1 } } }],
  ['too large an input', { ...program, input: { tensor: 'x', shape: { c: 65536, h: 65536, w: 1 } } }],
  [
    'too many elements',
    huge({ ...program.ops[0], channels: 65536 }, { c: 1, h: 100, w: 100 }, [1, 1, 100, 100]),
  ],
  [
    'padding that makes an axis too large',
    huge(
      {
        kind: 'maxPool',
        input: 0,
        output: 1,
        window: { kernelH: 60000, kernelW: 1, strideH: 1, strideW: 1, padH: 59999, padW: 0 },
      },
      { c: 1, h: 6000, w: 1 },
      [1, 1, 6000, 1],
    ),
    new Map(),
  ],
  [
    'too much work',
    huge(
      {
        kind: 'maxPool',
        input: 0,
        output: 1,
        window: { kernelH: 3000, kernelW: 3000, strideH: 1, strideW: 1, padH: 2999, padW: 2999 },
      },
      { c: 1, h: 10, w: 10 },
      [1, 1, 10, 10],
    ),
    new Map(),
  ],
  [
    'a border that takes too much memory',
    huge(
      {
        ...program.ops[0],
        channels: 1,
        window: { ...window, strideH: 9999, strideW: 9999, padH: 5000, padW: 5000 },
      },
      { c: 1, h: 1, w: 1 },
      [1, 1, 1, 1],
    ),
  ],
  [
    'sums of too many terms',
    huge({ ...program.ops[0], channels: 1, window: { ...window, kernelH: 300, padH: 299 } }),
  ],
  [
    'depthwise sums that float32 could not hold',
    withOp(9, { window: { ...window, kernelH: 400, kernelW: 400, padH: 200, padW: 200 } }),
    withTensor('each', tensor('int8', [3, 400, 400], new Int8Array(480_000))),
  ],
  ['weights that are missing', program, withTensor('conv', undefined)],
  ['depthwise weights that are missing', program, withTensor('each', undefined)],
  [
    'depthwise weights in 16 bits',
    program,
    withTensor('each', tensor('int16', [3, 3, 3], new Int16Array(27))),
  ],
  [
    'depthwise weights as ONNX has them',
    program,
    withTensor('each', tensor('int8', [3, 1, 3, 3], new Int8Array(27))),
  ],
  ['weights that nobody reads', program, withTensor('more', halves(1))],
  ['weights that two read', withOp(6, { weights: 'conv' })],
  ['weights of another type', program, withTensor('conv', tensor('int8', [17], new Int8Array(17)))],
  ['weights of another shape', program, withTensor('conv', bytes(18))],
  ['thresholds of sums as reals', program, withTensor('sums', tensor('float32', [5], new Float32Array(5)))],
  [
    'bits after the last weight',
    program,
    withTensor('conv', tensor('uint8', [17], new Uint8Array(17).fill(255))),
  ],
  ['a flag of 2', program, withTensor('flip', tensor('uint8', [5], Uint8Array.of(0, 1, 2, 0, 0)))],
  [
    'a scale that is infinite',
    program,
    withTensor('scale', tensor('float32', [3], Float32Array.of(1, Infinity, 0))),
  ],
  [
    'a half that is NaN',
    program,
    withTensor('lastBias', tensor('float16', [4], Uint16Array.of(0, 0x7e00, 0, 0))),
  ],
  [
    'a threshold that is NaN',
    program,
    withTensor('reals', tensor('float32', [3], Float32Array.of(NaN, 0, 0))),
  ],
])('a well-formed file with %s is refused', (_, json, stored) => {
  expect(codeOf(() => readProgram(forge(json, stored), 'evil.safetensors'))).toBe('PROGRAM_CORRUPT');
});

test('a program with any numbers in it is refused or runs, by the kernels as by the reference', async () => {
  const source = await kernelSource('simd');
  const text = JSON.stringify(program);
  const places = [...text.matchAll(/\d+(?=[,\]}])/g)];
  let ran = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(places.length - 1), fc.integer({ min: -1, max: 12 }), async (place, number) => {
      const { index, 0: old } = places[place]!;
      const file = forge(text.slice(0, index) + number + text.slice(index + old.length));
      if (codeOf(() => readProgram(file)) === 'none') {
        const loaded = readProgram(file);
        const { c, h, w } = loaded.program.input.shape;
        const input = Float32Array.from({ length: c * h * w }, (_, i) => i % 256);
        const values = runReference(loaded, input);
        const executor = await prepare(loaded, source);
        executor.run(input);
        loaded.program.outputs.forEach(({ value, dims }, i) => {
          expect(values[value]).toHaveLength(dims.reduce((a, b) => a * b));
          expect(executor.outputs[i]).toHaveLength(values[value]!.length);
        });
        ran++;
      } else expect(codeOf(() => readProgram(file))).toBe('PROGRAM_CORRUPT');
    }),
    { numRuns: 1000 },
  );
  expect(ran).toBeGreaterThan(0);
});

test('the same forgery without a fault is read, so the refusals above have their reasons', () => {
  expect(readProgram(forge(program)).program).toEqual(program);
});

test('another format or a missing program is refused', () => {
  expect(codeOf(() => readProgram(writeSafetensors(tensors(), {})))).toBe('PROGRAM_CORRUPT');
  const next = { format: 'tierwise-program/2', program: '{}', crc32: '00000000' };
  expect(codeOf(() => readProgram(writeSafetensors(tensors(), next)))).toBe('PROGRAM_CORRUPT');
});

test('an invalid program is not written', () => {
  const ops: Op[] = [{ kind: 'maxPool', input: 1, output: 1, window: pool }];
  expect(codeOf(() => writeProgram({ ...program, ops }, new Map()))).toBe('PROGRAM_CORRUPT');
});

test('the summary counts work, weights as stored and values as held', () => {
  const summary = programSummary(readProgram(writeProgram(program, tensors())));
  expect(summary.binaryMacs).toBe(5 * 36 * 27 + 7 * 45);
  expect(summary.realMacs).toBe(3 * 36 * 9 + 3 * 36 + 7 + 4 * 7 + 3 * 36 * 9);
  expect(summary.weightBytes).toBe(54 + 12 + 12 + 12 + 17 + 10 + 5 + 40 + 14 + 14 + 112 + 8 + 27);
  expect(summary.ops[2]).toMatchObject({ kind: 'binarize', value: 'bits', activationBytes: 14 });
  expect(summary.activationBytes).toBe(
    4 * (36 + 108 + 108) + 14 + 4 * (180 + 45) + 6 + 4 * (7 + 7 + 4 + 108),
  );
  const { bytes, weightBytes, arenaBytes } = summary.memory;
  expect(bytes).toBeGreaterThan(weightBytes + arenaBytes);
});
