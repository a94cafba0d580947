import { join } from 'node:path';
import { random, type Tensor, tensor } from '@tierwise/core';
import { loadDataset } from '@tierwise/data';
import { readBundle } from '@tierwise/edge';
import { extract, type ModelProto, readOnnx, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import type { Manifest } from '@tierwise/plan';
import { ports } from '@tierwise/train';
import { repository } from './runs.ts';

/** Pictures of digits, and what the stem of the committed LeNet makes of them. */
export interface Digits {
  /** What the pictures are. */
  readonly source: string;
  readonly manifest: Manifest;
  readonly model: ModelProto;
  /** float32 [1, 1, 28, 28], 0..255, and the stem's output [1, 20, 12, 12] of each. */
  readonly pixels: readonly Tensor<'float32'>[];
  readonly stems: readonly Tensor<'float32'>[];
}

/** The composite that is served and whose stem is packed. */
export const digitsBundle = join(repository, 'models/lenet-mnist.tierwise');

/** The first `count` test pictures of MNIST where `TIERWISE_DATA` says where they are, else drawn strokes. */
export async function openDigits(count: number, signal: AbortSignal): Promise<Digits> {
  const { manifest, artifacts } = await readBundle(digitsBundle);
  const { file } = manifest.main.artifact;
  const model = readOnnx(artifacts.find(({ artifact }) => artifact.file === file)!.bytes, file);
  const known = process.env['TIERWISE_DATA'] !== undefined;
  const pictures = known
    ? await firstPictures(count, signal)
    : Array.from({ length: count }, (_, i) => stroke(i + 1));
  const pixels = pictures.map((data) => tensor('float32', manifest.input.dims, Float32Array.from(data)));
  const session = await openSession(
    writeOnnx(extract(model, { inputs: [ports.input], outputs: [ports.stem] })),
  );
  const stems: Tensor<'float32'>[] = [];
  for (const picture of pixels) {
    const outputs = await session.run({ [ports.input]: picture });
    stems.push(outputs.get(ports.stem) as Tensor<'float32'>);
  }
  await session.dispose();
  return { source: known ? 'MNIST, test set' : 'drawn strokes', manifest, model, pixels, stems };
}

async function firstPictures(count: number, signal: AbortSignal): Promise<Uint8Array[]> {
  const { test } = await loadDataset('mnist', { signal });
  return Array.from({ length: count }, (_, i) => test.images.slice(i * 784, (i + 1) * 784));
}

/** A thick line that bends twice, with soft borders. */
function stroke(seed: number): Uint8Array {
  const draw = random(seed);
  const picture = new Uint8Array(28 * 28);
  let [x, y] = [8 + draw.below(12), 4];
  for (let bend = 0; bend < 3; bend++) {
    const [dx, dy] = [(draw.below(17) - 8) / 8, 1];
    for (let step = 0; step < 7; step++) {
      [x, y] = [Math.min(23, Math.max(4, x + dx)), y + dy];
      for (let v = -2; v <= 2; v++) {
        for (let u = -2; u <= 2; u++) {
          const at = Math.round(y + v) * 28 + Math.round(x + u);
          picture[at] = Math.max(picture[at]!, 255 - 50 * (u * u + v * v));
        }
      }
    }
  }
  return picture;
}
