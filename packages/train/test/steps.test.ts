import { random, type Tensor, tensor } from '@tierwise/core';
import { openSession } from '@tierwise/ort';
import { expect, test } from 'vitest';
import { startingValues } from '../src/batches.ts';
import { networks } from '../src/networks/index.ts';
import { adam } from '../src/optimizer.ts';
import { mirrorOf } from '../src/settings.ts';
import { networkStep } from '../src/step.ts';

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
  const rate = tensor('float32', [], Float32Array.of(0.002));
  for (let n = 0; n < batch; n++) {
    const label = n % classes;
    targets.data[n * classes + label] = 1;
    for (let i = 0; i < channels * plane; i++)
      pixels.data[n * channels * plane + i] = (Math.floor(i / plane) === label ? 150 : 30) + r.below(60);
  }
  const count = (dims: readonly number[]) => dims.reduce((a, d) => a * d, 1);
  let state = new Map<string, Tensor>(
    step.state.map(({ name: key, dims }) => [key, tensor('float32', dims, new Float32Array(count(dims)))]),
  );
  const started = startingValues(step, 1);
  for (const { name: key, dims } of step.parameters)
    state.set(key, tensor('float32', dims, started.get(key)!));
  const session = await openSession(step.model, { threads: 2 });
  try {
    const seen = { main: [] as number[], branch: [] as number[] };
    for (let i = 0; i < steps; i++) {
      const feeds = new Map<string, Tensor>(state);
      for (const [key, value] of Object.entries(adam.scalars(i + 1)))
        feeds.set(key, tensor('float32', [], Float32Array.of(value)));
      feeds.set('pixels', pixels).set('targets', targets).set('rate', rate);
      const names = [...step.state.map(({ name: key }) => `${key}.next`), 'loss.main', 'loss.branch'];
      const outputs = await session.run(feeds, new Map(names.map((key) => [key, null])));
      seen.main.push(Number(outputs.get('loss.main')!.data[0]));
      seen.branch.push(Number(outputs.get('loss.branch')!.data[0]));
      state = new Map(step.state.map(({ name: key }) => [key, outputs.get(`${key}.next`)!]));
    }
    return seen;
  } finally {
    await session.dispose();
  }
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
