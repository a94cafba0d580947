import { random, tensor } from '@tierwise/core';
import { openSession } from '@tierwise/ort';
import { expect, test } from 'vitest';
import { featureChannels, features, gridOf, pictureOf, targetChannels, targets } from './grid.ts';
import { fitLearned, inverterModel } from './learned.ts';
import { likeness, psnr } from './likeness.ts';
import { fitLinear, type Pairs, solve } from './linear.ts';

test.each([
  [28, 12],
  [28, 10],
  [32, 32],
  [224, 56],
  [27, 14],
  [7, 7],
  [28, 1],
])('a picture of %d pixels over a stem of %d cells comes back from its targets', (pixels, cells) => {
  const grid = gridOf([1, 2, pixels, pixels], [1, 3, cells, cells]);
  const size = 2 * pixels * pixels;
  const picture = Uint8Array.from({ length: size }, (_, i) => (i * 37) % 256);
  const said = new Float32Array(targetChannels(grid) * grid.rows * grid.columns);
  targets(grid, picture, said);
  const back = new Uint8Array(size);
  pictureOf(grid, said, back);
  expect(back).toEqual(picture);
  const into = new Float32Array(featureChannels(grid) * grid.rows * grid.columns);
  features(grid, new Float32Array(3 * cells * cells).fill(2), 0.5, into);
  expect(into.filter((value) => value === 1)).toHaveLength(4 * cells * cells);
});

test('a stem that is no map is refused', () => {
  expect(() => gridOf([1, 1, 28, 28], [1, 500])).toThrowError(
    expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }),
  );
});

test('the equations are solved', () => {
  expect(
    [...solve(Float64Array.of(4, 2, 2, 3), Float64Array.of(8, 7), 2, 1)].map((x) => x.toFixed(9)),
  ).toEqual(['1.250000000', '1.500000000']);
});

/** Pairs of noise and a stem of it: six sums over each 2 x 2 pixels, and with `bent` their squares. */
function pairsOf(grid: ReturnType<typeof gridOf>, samples: number, stream: number, bent: boolean): Pairs {
  const cells = grid.rows * grid.columns;
  const [drawn, weights] = [random(1, stream), random(2)];
  const mix = Float32Array.from({ length: 24 }, () => weights.normal());
  const pairs = {
    samples,
    features: new Float32Array(samples * featureChannels(grid) * cells),
    targets: new Float32Array(samples * targetChannels(grid) * cells),
  };
  for (let i = 0; i < samples; i++) {
    const picture = Uint8Array.from({ length: 64 }, () => drawn.below(256));
    const stem = new Float32Array(96);
    for (let c = 0; c < 6; c++)
      for (let cell = 0; cell < 16; cell++) {
        let sum = 0;
        for (let k = 0; k < 4; k++) {
          const at = (2 * (cell >> 2) + (k >> 1)) * 8 + 2 * (cell & 3) + (k & 1);
          sum += mix[c * 4 + k]! * (picture[at]! / 255 - 0.5);
        }
        stem[c * 16 + cell] = bent ? Math.max(0, sum) : sum;
      }
    features(grid, stem, 1, pairs.features.subarray(i * featureChannels(grid) * cells));
    targets(grid, picture, pairs.targets.subarray(i * targetChannels(grid) * cells));
  }
  return pairs;
}

/** Mean square error of an inverter over `pairs`. */
async function errorOf(grid: ReturnType<typeof gridOf>, model: Uint8Array, pairs: Pairs): Promise<number> {
  const session = await openSession(model);
  const x = tensor(
    'float32',
    [pairs.samples, featureChannels(grid), grid.rows, grid.columns],
    pairs.features,
  );
  const said = (await session.run({ x })).get('y')!.data as Float32Array;
  await session.dispose();
  return said.reduce((sum, y, i) => sum + (y - pairs.targets[i]!) ** 2, 0) / said.length;
}

const grid = gridOf([1, 1, 8, 8], [1, 6, 4, 4]);

test('what is linear is inverted nearly exactly, from pictures never seen', async () => {
  const linear = await fitLinear(grid, pairsOf(grid, 60, 1, false), 1);
  expect(await errorOf(grid, inverterModel(grid, linear), pairsOf(grid, 20, 2, false))).toBeLessThan(1e-5);
});

test('where a ReLU was, the learned inverter sees more than the linear one, and equal seeds the same', async () => {
  const seen = pairsOf(grid, 2000, 1, true);
  const fresh = pairsOf(grid, 50, 2, true);
  const linear = await fitLinear(grid, seen, 1);
  const learned = await fitLearned(grid, linear, seen, { seed: 3, threads: 1 });
  const [one, two] = [
    await errorOf(grid, inverterModel(grid, linear), fresh),
    await errorOf(grid, inverterModel(grid, linear, learned), fresh),
  ];
  expect(one).toBeLessThan(1 / 12);
  expect(two).toBeLessThan(0.95 * one);
  expect(await fitLearned(grid, linear, seen, { seed: 3, threads: 1 })).toEqual(learned);
});

test('equal pictures are alike and found; a mean picture is neither', () => {
  const stream = random(5);
  const data = Uint8Array.from({ length: 10 * 64 }, () => stream.below(256));
  const pictures = { data, samples: 10, height: 8, width: 8 };
  expect(likeness(pictures, data)).toEqual({ psnrDb: undefined, ssim: 1, reidentified: 1 });
  const grey = likeness(pictures, new Uint8Array(640).fill(128));
  expect(grey.reidentified).toBeLessThanOrEqual(0.1);
  expect(grey.ssim).toBeLessThan(0.1);
  expect(psnr(Uint8Array.of(0, 0), Uint8Array.of(255, 255))).toBe(0);
});
