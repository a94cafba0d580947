import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeProgram } from '@tierwise/binary';
import { random, sha256Hex, type Tensor, tensor } from '@tierwise/core';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';
import { type EngineName, type Manifest, parseManifest } from '@tierwise/plan';

/** Shape of the network: pixels [N,1,4,4] -> stem [N,2,4,4] -> scores [N,3]. */
export const dims = { input: [1, 1, 4, 4], stem: [1, 2, 4, 4], scores: [1, 3] } as const;

/** Weights of another network of the same shapes for each `seed`. */
function weightsOf(seed = 7) {
  const draw = random(seed);
  const uniform = (length: number) => Float32Array.from({ length }, () => draw.uniform() - 0.5);
  return {
    conv: Int16Array.from({ length: 18 }, () => draw.below(5) - 2),
    main: tensor('float32', [32, 3], uniform(96)),
    branch: tensor('float32', [3, 32], uniform(96)),
    bias: tensor('float32', [3], uniform(3)),
  };
}
type Weights = ReturnType<typeof weightsOf>;

/** `heavy` of a network that takes the better part of a second: long enough to look at an edge while it computes. */
export const longRun = 160;

export interface TinyOptions {
  readonly name?: string;
  /** How many products of 512 x 512 matrices the rest adds to no effect: 134 million multiplications each. */
  readonly heavy?: number;
  /** Another network for each; default 7. */
  readonly seed?: number;
}

function mainGraph(weights: Weights, heavy: number): Uint8Array {
  const b = new GraphBuilder('tiny');
  const pixels = b.input('pixels', 'float32', ['N', ...dims.input.slice(1)]);
  const kernel = b.initializer('kernel', tensor('float32', [2, 1, 3, 3], Float32Array.from(weights.conv)));
  const stem = b.op('Conv', [pixels, kernel], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }, 'stem');
  let bias = b.initializer('bias', weights.bias);
  if (heavy > 0) {
    const zero = b.mul(b.sum(stem, [0, 1, 2, 3]), b.scalar(0));
    let matrix = b.op('Expand', [zero, b.ints(512, 512)]);
    for (let i = 0; i < heavy; i++) matrix = b.op('MatMul', [matrix, matrix]);
    bias = b.add(bias, b.mean(matrix, [0, 1]));
  }
  const flat = b.op('Flatten', [stem], { axis: 1 });
  b.output(b.gemm(flat, b.initializer('dense', weights.main), { c: bias }, 'scores'), 'float32', ['N', 3]);
  return writeOnnx(b.model);
}

function branchProgram(weights: Weights): Uint8Array {
  const window = { kernelH: 3, kernelW: 3, strideH: 1, strideW: 1, padH: 1, padW: 1 };
  return writeProgram(
    {
      input: { tensor: 'pixels', shape: { c: 1, h: 4, w: 4 } },
      ops: [
        { kind: 'convReal', input: 0, output: 1, window, weights: 'conv', channels: 2 },
        { kind: 'denseReal', input: 1, output: 2, weights: 'dense', bias: 'bias', channels: 3 },
      ],
      outputs: [
        { tensor: 'stem', value: 1, dims: [...dims.stem] },
        { tensor: 'branch_scores', value: 2, dims: [...dims.scores] },
      ],
    },
    new Map<string, Tensor>([
      ['conv', tensor('int16', [2, 1, 3, 3], weights.conv)],
      ['dense', weights.branch],
      ['bias', weights.bias],
    ]),
  );
}

/** A composite that works: both networks share a stem. */
export async function tinyBundle({ name = 'tiny', heavy = 0, seed }: TinyOptions = {}): Promise<{
  manifest: Manifest;
  files: Map<string, Uint8Array>;
}> {
  const weights = weightsOf(seed);
  const files = new Map([
    ['branch.safetensors', branchProgram(weights)],
    ['model.onnx', mainGraph(weights, heavy)],
  ]);
  const artifact = async (file: string, engine: EngineName) => {
    const bytes = files.get(file)!;
    return { file, digest: await sha256Hex(bytes), bytes: bytes.length, engine };
  };
  const manifest = parseManifest({
    format: 'tierwise/1',
    name,
    labels: ['a', 'b', 'c'],
    preprocess: { channels: 1, height: 4, width: 4, scale: 1, mean: [0], std: [1] },
    input: { tensor: 'pixels', dims: dims.input },
    stem: { tensor: 'stem', dims: dims.stem },
    branch: {
      artifact: await artifact('branch.safetensors', 'binary'),
      scores: { tensor: 'branch_scores', dims: dims.scores },
    },
    main: { artifact: await artifact('model.onnx', 'onnx'), scores: { tensor: 'scores', dims: dims.scores } },
    codec: { kind: 'packed', bits: 8, lo: -2550, hi: 2550 },
    exit: { kind: 'entropy', threshold: 0.1 },
    flops: { stem: 576, branch: 192, rest: 192 },
  });
  return { manifest, files };
}

/** What `NAME` must answer for one picture of 16 pixels, computed straight from the definition. */
export function expectedScores(pixels: ArrayLike<number>, seed?: number): number[] {
  const weights = weightsOf(seed);
  const stem = expectedStem(pixels, seed);
  return Array.from({ length: 3 }, (_, j) =>
    stem.reduce((sum, value, i) => sum + value * weights.main.data[i * 3 + j]!, weights.bias.data[j]!),
  );
}

/** The stem's output [2,4,4] of one picture. */
export function expectedStem(pixels: ArrayLike<number>, seed?: number): number[] {
  const weights = weightsOf(seed);
  const at = (y: number, x: number) => (y < 0 || x < 0 || y > 3 || x > 3 ? 0 : pixels[4 * y + x]!);
  return Array.from({ length: 32 }, (_, i) => {
    const [k, y, x] = [i >> 4, (i >> 2) & 3, i & 3];
    let sum = 0;
    for (let tap = 0; tap < 9; tap++) {
      sum += weights.conv[9 * k + tap]! * at(y + Math.floor(tap / 3) - 1, x + (tap % 3) - 1);
    }
    return sum;
  });
}

/** Whole-number pixels 0..255, another picture for each `seed`. */
export function picture(seed = 1, samples = 1): Float32Array<ArrayBuffer> {
  const stream = random(11, seed);
  return Float32Array.from({ length: 16 * samples }, () => stream.below(256));
}

/** A folder for the test's bundles; remove it with `dispose`. */
export async function modelsFolder(): Promise<{
  path: string;
  add(options?: TinyOptions, folder?: string): Promise<string>;
  dispose(): Promise<void>;
}> {
  const path = await mkdtemp(join(tmpdir(), 'tierwise-edge-'));
  return {
    path,
    async add(options = {}, folder = `${options.name ?? 'tiny'}.tierwise`) {
      const { manifest, files } = await tinyBundle(options);
      const target = join(path, folder);
      await mkdir(target, { recursive: true });
      for (const [file, bytes] of files) await writeFile(join(target, file), bytes);
      await writeFile(join(target, 'manifest.json'), JSON.stringify(manifest));
      return target;
    },
    dispose: () => rm(path, { recursive: true }),
  };
}
