import { random, tensor } from '@tierwise/core';
import { expect, test } from 'vitest';
import { mirrorOf, networks } from '../src/networks/index.ts';
import { startingValues } from '../src/start/drawn.ts';
import { adam } from '../src/step/optimizer.ts';
import { branchStep, networkStep, studentTemperature } from '../src/step/step.ts';
import { freshState, openStep } from '../src/step/step-runner.ts';

const batch = 4;
const classes = 3;

/** Runs `steps` steps over the same few pictures, whose classes are the channel that is bright; the losses before each. */
async function losses(name: string, steps: number): Promise<{ main: number[]; branch: number[] }> {
  const network = networks[name]!;
  const step = networkStep(network, mirrorOf(network), { batch, classes, optimizer: adam, weightDecay: 0 });
  const { channels, height, width } = network.input;
  const r = random(3, 1);
  const plane = height * width;
  const pixels = tensor('uint8', [batch, channels, height, width], new Uint8Array(batch * channels * plane));
  const targets = tensor('float32', [batch, classes], new Float32Array(batch * classes));
  for (let n = 0; n < batch; n++) {
    const label = n % classes;
    targets.data[n * classes + label] = 1;
    for (let i = 0; i < channels * plane; i++)
      pixels.data[n * channels * plane + i] = (Math.floor(i / plane) === label ? 150 : 30) + r.below(60);
  }
  const start = freshState(step, startingValues(step, 1));
  await using runner = await openStep(step, { optimizer: adam, start, threads: 2 });
  const seen = { main: [] as number[], branch: [] as number[] };
  for (let i = 0; i < steps; i++) {
    const [main, branch] = await runner.run(
      [
        ['pixels', pixels],
        ['targets', targets],
      ],
      0.002,
      i + 1,
    );
    seen.main.push(main!.loss);
    seen.branch.push(branch!.loss);
  }
  return seen;
}

test.each(['resnet18', 'mobilenet-v2'])(
  'the step of %s builds, runs and lowers both losses',
  async (name) => {
    const { main, branch } = await losses(name, 5);
    for (const seen of [main, branch]) {
      expect(seen.every(Number.isFinite)).toBe(true);
      expect(seen.at(-1)!).toBeLessThan(seen[0]! / 2);
    }
  },
  // Half a minute when the machine is busy: hundreds of megabytes of state go in and out of every step.
  180_000,
);

test('a branch learns the same from scores of any size, softened to the usual one', async () => {
  const network = networks['lenet']!;
  const stemDims = [1, 20, 12, 12];
  const r = random(4, 1);
  const drawn = (...dims: number[]) =>
    tensor(
      'float32',
      dims,
      Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => r.normal()),
    );
  const [stem, scores, targets] = [drawn(batch, 20, 12, 12), drawn(batch, classes), drawn(batch, classes)];
  targets.data.fill(0).set([1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0]);
  const lossAt = async (times: number) => {
    const how = { temperature: studentTemperature * times, realWeights: false };
    const step = branchStep(stemDims, mirrorOf(network), how, {
      batch,
      classes,
      optimizer: adam,
      weightDecay: 0,
    });
    const start = freshState(step, startingValues(step, 1));
    await using runner = await openStep(step, { optimizer: adam, start, threads: 1 });
    const teacher = tensor(
      'float32',
      [batch, classes],
      scores.data.map((x) => 10 * times * x),
    );
    const feeds = Object.entries({ stem, teacher, targets });
    return (await runner.run(feeds, 0.001, 1))[0]!.loss;
  };
  const usual = await lossAt(1);
  expect(await lossAt(500)).toBeCloseTo(usual, 4);
});
