import { random, tensor } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import {
  backboneOf,
  branchPhases,
  findNetwork,
  freeDesign,
  freshState,
  openStep,
  optimizers,
  phaseOpener,
  stemDimsOf,
  type TrainingSettings,
  untrainedWeights,
} from '@tierwise/train';
import type { BenchOptions } from './options.ts';
import type { BenchRow } from './result.ts';
import { median, significant } from './statistics.ts';
import { inARow, rounds } from './turns.ts';

/** Branches whose training on a frozen network is timed, by how the network comes to its scores. */
export const branchCases = [
  { name: 'resnet18-branch-b32', network: 'resnet18', batch: 32, teachers: ['float32', 'int8', 'known'] },
] as const;

const samples = 64;

interface Contestant {
  readonly teacher: string;
  /** Seconds of each step. */
  readonly times: number[];
  step(): Promise<void>;
  dispose(): Promise<void>;
}

/** Pictures of noise: speed does not depend on what they show. */
function noise({ channels, height, width }: { channels: 1 | 3; height: number; width: number }): Dataset {
  const r = random(2);
  const size = channels * height * width;
  return {
    name: 'noise',
    classes: Array.from({ length: 10 }, (_, i) => `${i}`),
    channels,
    height,
    width,
    images: Uint8Array.from({ length: samples * size }, () => r.below(256)),
    labels: Uint16Array.from({ length: samples }, (_, i) => i % 10),
    samples,
  };
}

/** A step of the branch and the pass of its teacher before it, with each teacher in turn. */
export async function benchBranchStep(
  one: (typeof branchCases)[number],
  threads: number,
  options: BenchOptions,
): Promise<BenchRow> {
  const network = findNetwork(one.network);
  const data = noise(network.input);
  const classes = data.classes.length;
  const backbone = backboneOf(network, untrainedWeights(network, classes, 1), classes);
  const phase = branchPhases('modern', { branchEpochs: 1, samples, batch: one.batch })[0]!;
  const settings: TrainingSettings = {
    network: one.network,
    data: data.name,
    samples,
    holdout: 0,
    batch: one.batch,
    recipe: 'modern',
    design: freeDesign(stemDimsOf(network), { depth: 8, width: 64 }),
    phases: [phase],
    temperature: 4,
    augmentation: { shift: 0, flip: false, cutout: 0 },
    smoothing: 0,
    seed: 1,
  };
  const { height, width, channels } = network.input;
  const dims = [one.batch, channels, height, width];
  const pixels = tensor('uint8', dims, data.images.slice(0, one.batch * channels * height * width));
  const targets = tensor('float32', [one.batch, classes], new Float32Array(one.batch * classes));
  for (let n = 0; n < one.batch; n++) targets.data[n * classes + (n % classes)] = 1;

  const contestants: Contestant[] = [];
  try {
    for (const teacher of one.teachers) {
      options.onProgress(`${one.name}: opening the network in ${teacher}`);
      const chosen = teacher === 'int8' ? { ...settings, teacher } : settings;
      const key = teacher === 'known' ? 'these pictures' : undefined;
      const opened = await phaseOpener({ settings: chosen, data, threads, backbone })(phase, new Map());
      const optimizer = optimizers[phase.optimizer];
      const start = freshState(opened.step, await opened.start());
      const runner = await openStep(opened.step, { optimizer, start, threads });
      let number = 0;
      contestants.push({
        teacher,
        times: [],
        async step() {
          const feeds = Object.entries(await opened.feeds(pixels, key));
          await runner.run([...feeds, ['targets', targets]], 1e-3, ++number);
        },
        async dispose() {
          await runner[Symbol.asyncDispose]();
          await opened[Symbol.asyncDispose]();
        },
      });
    }
    for (const _ of rounds(options))
      for (const { teacher, step, times } of contestants) {
        times.push(...(await inARow(step)));
        options.onProgress(`${one.name}, ${teacher}: the last step took ${times.at(-1)!.toFixed(3)} s`);
      }
  } finally {
    for (const { dispose } of contestants) await dispose();
  }
  const [float32, int8, known] = contestants.map(({ times }) => median(times)) as [number, number, number];
  const metrics = {
    samplesPerSecond: one.batch / float32,
    samplesPerSecondInt8: one.batch / int8,
    samplesPerSecondKnown: one.batch / known,
    int8Teacher: float32 / int8,
    knownTeacher: float32 / known,
  };
  return {
    case: one.name,
    metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, significant(value)])),
  };
}
