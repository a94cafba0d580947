import { availableParallelism } from 'node:os';
import { random, tensor } from '@tierwise/core';
import { GraphBuilder, summarize, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import {
  exportMain,
  findNetwork,
  freshState,
  networkStep,
  openStep,
  optimizers,
  startingValues,
  untrainedWeights,
} from '@tierwise/train';
import { callPage, openPage, startBrowser } from './browser.ts';
import { chooseCases } from './cases.ts';
import { machineConditions } from './conditions.ts';
import type { BenchOptions } from './options.ts';
import type { TrainInput } from './pages/train.ts';
import type { BenchResult, BenchRow } from './result.ts';
import { buildPage, serveSite } from './site.ts';
import { median, significant } from './statistics.ts';
import { benchBranchStep, branchCases } from './train-branch.ts';
import { inARow, rounds, turnMs } from './turns.ts';

/** Networks whose whole training step is timed: stem and main network, forward, backward and optimiser. */
const networkCases = [
  { name: 'resnet18-b32', network: 'resnet18', batch: 32 },
  { name: 'resnet18-b128', network: 'resnet18', batch: 128 },
  // As --progressive begins.
  { name: 'resnet18-half-b128', network: 'resnet18', batch: 128, side: 0.5 },
  { name: 'lenet-b64', network: 'lenet', batch: 64 },
] as const;

/** What is timed. */
export const trainCases = [...networkCases, ...branchCases] as const;

type NetworkCase = (typeof networkCases)[number];

/** Sides of a case's pictures as a share of the network's own. */
const sideOf = (one: NetworkCase) => ('side' in one ? one.side : 1);

const classes = 10;
const matrix = 1024;

/**
 * `tierwise bench train`: the training step in onnxruntime, in turn with a product of two matrices of 1024 x 1024 in
 * the same runtime, whose speed is what the step could at best have. FLOPs of a step are three times those of the
 * forward pass, as everywhere in the literature.
 */
export async function benchTrain(options: BenchOptions): Promise<BenchResult> {
  const threads = Math.min(4, availableParallelism());
  const rows: BenchRow[] = [];
  for (const one of chooseCases(trainCases, options.cases))
    rows.push(
      'teachers' in one
        ? await benchBranchStep(one, threads, options)
        : await benchNetwork(one, threads, options),
    );
  return {
    bench: 'train',
    conditions: {
      ...machineConditions(),
      threads,
      tfjs: 'LeNet alone: WebAssembly backend, SIMD, one thread, in Chromium; the same network and batch',
      step: 'stem and main network: forward, loss, backward, optimiser and running averages, float32',
      half: 'resnet18-half: the same network on pictures of 16 x 16, as --progressive begins; its FLOPs are a quarter',
      branch:
        'resnet18-branch: a modern branch of 8 convolutions on the frozen network, which computes its scores in float32, in 8 bits, or not, because the pictures came before (--views); times of network and step together',
      matMul: `${matrix} x ${matrix} in the same runtime, in turn with the steps, each for ${turnMs} ms; medians`,
    },
    rows,
  };
}

async function benchNetwork(one: NetworkCase, threads: number, options: BenchOptions): Promise<BenchRow> {
  const { onProgress } = options;
  const network = findNetwork(one.network);
  onProgress(`${one.name}: writing the step`);
  const optimizer = optimizers[network.training.optimizer];
  const step = networkStep(network, undefined, {
    batch: one.batch,
    classes,
    optimizer,
    weightDecay: network.training.weightDecay,
    side: sideOf(one),
  });
  const { model } = exportMain(network, untrainedWeights(network, classes, 1), classes);
  // Of all layers but the last, whose share is 1 in 100,000, FLOPs grow with the area.
  const flops = 3 * one.batch * summarize(model).totals.flops * sideOf(one) ** 2;
  const start = freshState(step, startingValues(step, 1));
  await using runner = await openStep(step, { optimizer, start, threads });
  const product = await openProduct(threads);
  try {
    const { channels, height, width } = network.input;
    const r = random(2);
    const dims = [one.batch, channels, height, width];
    const count = one.batch * channels * height * width;
    const pixels = tensor(
      'uint8',
      dims,
      Uint8Array.from({ length: count }, () => r.below(256)),
    );
    const targets = tensor('float32', [one.batch, classes], new Float32Array(one.batch * classes));
    for (let n = 0; n < one.batch; n++) targets.data[n * classes + r.below(classes)] = 1;
    const masks = step.masks.map(({ name, dims }) => {
      const length = dims.reduce((a, d) => a * d, 1);
      return [name, tensor('float32', dims, new Float32Array(length).fill(1))] as const;
    });
    const feeds = [['pixels', pixels], ['targets', targets], ...masks] as const;
    let number = 0;
    const times = { step: [] as number[], product: [] as number[] };
    for (const _ of rounds(options)) {
      times.product.push(...(await inARow(product.run)));
      times.step.push(...(await inARow(() => runner.run(feeds, 1e-3, ++number))));
      onProgress(`${one.name}: ${times.step.length} steps, the last of ${times.step.at(-1)!.toFixed(3)} s`);
    }
    const own = median(times.step);
    const gflops = flops / own / 1e9;
    const matMulGflops = (2 * matrix ** 3) / median(times.product) / 1e9;
    const rival = one.network === 'lenet' ? await tfjsSeconds(one, options) : undefined;
    const metrics = {
      samplesPerSecond: one.batch / own,
      stepMs: own * 1000,
      gflops,
      matMulGflops,
      ofMatMul: gflops / matMulGflops,
      ...(rival === undefined ? {} : { tfjsStepMs: rival * 1000, vsTfjs: rival / own }),
    };
    return {
      case: one.name,
      metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, significant(value)])),
    };
  } finally {
    await product.dispose();
  }
}

/** Seconds of LeNet's step in tfjs, in a page after our steps; undefined without a browser. */
async function tfjsSeconds(one: NetworkCase, options: BenchOptions): Promise<number | undefined> {
  if (options.chromePath === undefined) return undefined;
  options.onProgress(`${one.name}: tfjs`);
  await using browser = await startBrowser(options.chromePath, options.signal);
  await using site = await serveSite(await buildPage('train'), { compress: false });
  await using fresh = await openPage(browser);
  const times = await callPage<TrainInput, number[]>(fresh.page, `http://127.0.0.1:${site.port}/train.html`, {
    batch: one.batch,
    runs: options.runs ?? 8,
  });
  return median(times);
}

/** The product of two matrices, both given anew, into a matrix that is there. */
async function openProduct(threads: number) {
  const dims = [matrix, matrix];
  const b = new GraphBuilder('product');
  const [x, y] = [b.input('x', 'float32', dims), b.input('y', 'float32', dims)];
  b.output(b.op('MatMul', [x, y]), 'float32', dims, 'z');
  const session = await openSession(writeOnnx(b.model), { threads });
  const r = random(3);
  const draw = () =>
    tensor(
      'float32',
      dims,
      Float32Array.from({ length: matrix ** 2 }, () => r.normal()),
    );
  const [left, right, into] = [draw(), draw(), draw()];
  return {
    run: () => session.run({ x: left, y: right }, { z: into }),
    dispose: () => session.dispose(),
  };
}
