import { random, tensor } from '@tierwise/core';
import { expect, test } from 'vitest';
import { startingValues } from '../src/batches.ts';
import { networks } from '../src/networks/index.ts';
import { adam } from '../src/optimizer.ts';
import { mirrorOf } from '../src/settings.ts';
import { networkStep } from '../src/step.ts';
import { freshState, openStep } from '../src/step-runner.ts';

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
