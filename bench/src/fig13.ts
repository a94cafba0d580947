import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { argmax, type Tensor, tensor } from '@tierwise/core';
import type { Dataset, DatasetSplit } from '@tierwise/data';
import { readBundle } from '@tierwise/edge';
import { extract, foldAffine, type ModelProto, quantizeInt8, readOnnx, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import type { Context, Manifest } from '@tierwise/plan';
import { linkProfiles } from '@tierwise/relay';
import type { Block } from '@tierwise/report';
import {
  evaluationOf,
  expectedLatency,
  findNetwork,
  type Network,
  observedRanges,
  ports,
  trainRival,
  wilson,
} from '@tierwise/train';
import { callPage, openPage, startBrowser } from './browser.ts';
import { chooseCases } from './cases.ts';
import { commonConditions } from './conditions.ts';
import { type BenchOptions, raceOptions } from './options.ts';
import type { Fig13Input } from './pages/fig13.ts';
import type { RaceTimes } from './pages/race.ts';
import type { BenchResult, BenchRow } from './result.ts';
import { findBundles, measureBundle, repository } from './runs.ts';
import { buildPage, serveSite } from './site.ts';
import { median, significant } from './statistics.ts';
import { table1Rows } from './table1-rows.ts';

/** A network that a command has trained, without a branch. */
interface Trained {
  readonly name: string;
  /** ONNX, from the folder of the repository. */
  readonly file: string;
  readonly command: string;
}

interface Fig13Case {
  /** A row of Table 1, whose bundle is the composite. */
  readonly name: string;
  /** A narrow network that is trained in the run, alone and as a student. */
  readonly narrow?: Network;
  /** Where another small network is looked for, and what trains it. */
  readonly trained?: Trained;
}

const lenet = findNetwork('lenet');

/** LeNet with 6, 12 and 72 instead of 20, 50 and 500: about the bytes of the branch, in float32. */
const narrowLenet: Network = {
  ...lenet,
  name: 'lenet-narrow',
  stem: (l, pixels) =>
    l.relu(
      l.batchNorm(l.maxPool(l.pixelConv(pixels, 'stem.conv', { filters: 6, kernel: 5 }), 2), 'stem.norm'),
    ),
  main(l, stem, classes) {
    const x = l.maxPool(l.conv(stem, 'main.conv2', { filters: 12, kernel: 5 }), 2);
    const flat = l.flatten(l.relu(l.batchNorm(x, 'main.norm2')));
    const hidden = l.relu(l.batchNorm(l.dense(flat, 'main.fc3', 72), 'main.norm3'));
    return l.dense(hidden, 'main.fc4', classes);
  },
};

/** A quarter of the width: about the bytes of a branch of these networks, in float32. */
const mobilenet: Trained = {
  name: 'mobilenet-v2-0.25',
  file: 'runs/mobilenet-v2-0.25.onnx',
  command:
    'npx tierwise train --network mobilenet-v2-0.25 --data cifar-10 -o runs/mobilenet-v2-0.25.onnx --schedule main-only --progressive --epochs 30 --holdout 2000 --resume',
};

/**
 * LcDNN has ResNet18 on CIFAR-10 and VGG16 on ImageNet-150K, whose data are not here; LeNet is what minutes allow, AlexNet
 * what an hour does.
 */
export const fig13Cases: readonly Fig13Case[] = [
  { name: 'lenet-mnist', narrow: narrowLenet },
  { name: 'alexnet-cifar-10', trained: mobilenet },
  { name: 'resnet18-cifar-10', trained: mobilenet },
  { name: 'vgg16-imagenet-150' },
];

const link = 'fast-4g';
/** As many as the committed composite had. */
const rivalEpochs = 12;
const caseMs = 8000;
/** Training pictures over which the ranges of 8 bits are taken. */
const calibrationPictures = 64;

/** One way to classify on the device. */
interface Contestant {
  readonly name: string;
  readonly accuracy: number;
  /** What the device fetches: weights, without the runtime. */
  readonly bytes: number;
  /** Which of the raced files computes it; several may share one. */
  readonly raced: string;
  /** Share that is finished on the device, and bytes that each of the others sends. */
  readonly exitRate: number;
  readonly payloadBytes: number;
}

/**
 * `tierwise bench fig13`: the composite beside what compresses a network otherwise: accuracy over the whole test set,
 * bytes of weights, and milliseconds in Chromium.
 */
export async function benchFig13(options: BenchOptions): Promise<BenchResult> {
  const chosen = chooseCases(fig13Cases, options.cases);
  await using browser = await startBrowser(options.chromePath, options.signal);
  const page = await buildPage('fig13');
  const rows: BenchRow[] = [];
  const blocks: Block[] = [];
  for (const one of chosen) {
    const found = await contestantsOf(one, options);
    if (typeof found === 'string') {
      rows.push({ case: one.name, metrics: {}, facts: { state: 'not trained here', command: found } });
      continue;
    }
    options.onProgress(`${one.name}: racing in the browser`);
    await using site = await serveSite(new Map([...page, ...found.files]), { compress: false });
    await using fresh = await openPage(browser);
    const times = await callPage<Fig13Input, RaceTimes>(
      fresh.page,
      `http://127.0.0.1:${site.port}/fig13.html`,
      {
        dims: found.manifest.input.dims,
        output: found.manifest.branch.scores.tensor,
        rivals: [...found.files.keys()]
          .filter((file) => file.endsWith('.onnx'))
          .map((file) => file.slice(0, -5)),
        race: raceOptions(options, caseMs),
      },
    );
    const own = found.contestants.map((contestant) =>
      rowOf(one.name, contestant, found, median(times[contestant.raced]!)),
    );
    rows.push(...own);
    if (found.missing !== undefined)
      rows.push({
        case: `${one.name}/${found.missing.name}`,
        metrics: {},
        facts: { state: 'not trained here', command: found.missing.command },
      });
    blocks.push(...chartsOf(one.name, own));
  }
  const missing = rows.filter((row) => row.facts?.['command'] !== undefined);
  return {
    bench: 'fig13',
    conditions: {
      ...commonConditions(browser),
      accuracy: 'over the whole test set; the composite as deployed, the rivals in onnxruntime',
      bytes:
        'weights alone; onnxruntime-web itself, which the rivals need, is a hundred times our engine (bench first-answer)',
      browserMs: 'median of a warm sample on the device, one thread, in the same page',
      expectedMs: `with the share that the edge finishes over ${link}, the edge's own time left out`,
      rivals: `narrow: ${rivalEpochs} epochs alone; student: the same network taught by the main one; int8: the main network in QDQ form, ranges over ${calibrationPictures} training pictures`,
    },
    rows,
    blocks: [
      tableOf(rows.filter((row) => row.metrics['accuracy'] !== undefined)),
      ...blocks,
      ...(missing.length === 0
        ? []
        : [
            {
              kind: 'table',
              title: 'Not trained here',
              head: ['', 'command'],
              rows: missing.map((row) => [row.case, String(row.facts!['command'])]),
            } as const,
          ]),
    ],
  };
}

interface Found {
  readonly manifest: Manifest;
  readonly testSamples: number;
  readonly contestants: readonly Contestant[];
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly missing?: Trained | undefined;
}

/** Everything of a case that there is; the command that trains its composite where there is none. */
async function contestantsOf(one: Fig13Case, options: BenchOptions): Promise<Found | string> {
  const row = table1Rows.find(({ name }) => name === one.name)!;
  const [folder] = await findBundles(repository, row.bundle);
  if (folder === undefined) return row.command;
  const known = new Map<string, DatasetSplit>();
  const composite = await measureBundle(folder, row.data, known, options);
  const { manifest, data } = composite;
  const [{ train }] = [...known.values()] as [DatasetSplit];
  const evaluation = evaluationOf(manifest, data, composite.mainAccuracy, composite.samples);
  const files = new Map<string, Uint8Array>([
    ['branch.safetensors', await artifact(folder, manifest.branch.artifact.file)],
  ]);
  const contestants: Contestant[] = [];
  const addBranch = (name: string, accuracy: number, exitRate: number, payloadBytes: number) =>
    contestants.push({
      name,
      accuracy,
      bytes: manifest.branch.artifact.bytes,
      raced: 'branch',
      exitRate,
      payloadBytes,
    });
  const { composite: whole, branch } = evaluation;
  addBranch('composite', whole.accuracy, whole.exitRate, whole.payloadBytes);
  addBranch('branch-alone', branch.accuracy, 1, 0);
  const addOnnx = async (name: string, model: ModelProto, accuracy?: number) => {
    const bytes = writeOnnx(model);
    files.set(`${name}.onnx`, bytes);
    contestants.push({
      name,
      accuracy: accuracy ?? (await accuracyOf(bytes, data, options)),
      bytes: bytes.length,
      raced: name,
      exitRate: 1,
      payloadBytes: 0,
    });
  };
  const main = mainOf(await artifact(folder, manifest.main.artifact.file), manifest);
  await addOnnx('main-float32', main, composite.mainAccuracy);
  const pictures = Array.from({ length: calibrationPictures }, (_, i) => picture(train, i));
  await addOnnx('main-int8', quantizeInt8(main, await observedRanges(main, pictures)));
  if (one.narrow) await addNarrow(one.narrow, main, train, addOnnx, options);
  const missing = one.trained && (await addTrained(one.trained, addOnnx));
  return { manifest, testSamples: data.samples, contestants, files, missing };
}

type AddOnnx = (name: string, model: ModelProto, accuracy?: number) => Promise<void>;

async function addNarrow(
  network: Network,
  teacher: ModelProto,
  data: Dataset,
  add: AddOnnx,
  options: BenchOptions,
): Promise<void> {
  for (const [name, taught] of [
    ['narrow', false],
    ['student', true],
  ] as const)
    await add(
      name,
      foldAffine(
        await trainRival({
          network,
          data,
          epochs: rivalEpochs,
          seed: 1,
          threads: Math.min(4, availableParallelism()),
          signal: options.signal,
          onProgress: ({ step, steps }) => options.onProgress(`training ${name}: step ${step} of ${steps}`),
          ...(taught && { teacher }),
        }),
      ),
    );
}

/** Adds another network; gives it back where its file is not there. */
async function addTrained(trained: Trained, add: AddOnnx): Promise<Trained | undefined> {
  const bytes = await readFile(join(repository, trained.file)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (bytes === undefined) return trained;
  await add(trained.name, foldAffine(readOnnx(bytes, trained.file)));
  return undefined;
}

async function artifact(folder: string, file: string): Promise<Uint8Array> {
  const { artifacts } = await readBundle(folder);
  return artifacts.find(({ artifact: { file: name } }) => name === file)!.bytes;
}

/** The main network alone, batch norms folded. */
function mainOf(bytes: Uint8Array, { input, main }: Manifest): ModelProto {
  return foldAffine(extract(readOnnx(bytes), { inputs: [input.tensor], outputs: [main.scores.tensor] }));
}

function picture({ images, channels, height, width }: Dataset, index: number): Tensor<'float32'> {
  const size = channels * height * width;
  const pixels = Float32Array.from(images.subarray(index * size, (index + 1) * size));
  return tensor('float32', [1, channels, height, width], pixels);
}

/** Share of `data` that a graph from pixels to scores gets right, one picture at a time as a device has them. */
async function accuracyOf(model: Uint8Array, data: Dataset, { signal }: BenchOptions): Promise<number> {
  const session = await openSession(model, { threads: Math.min(4, availableParallelism()) });
  try {
    let right = 0;
    for (let i = 0; i < data.samples; i++) {
      signal.throwIfAborted();
      const pixels = picture(data, i);
      const scores = (await session.run(new Map([[ports.input, pixels]]))).get(ports.main)!;
      if (argmax(scores.data as Float32Array) === data.labels[i]) right++;
    }
    return right / data.samples;
  } finally {
    await session.dispose();
  }
}

const linkContext: Context = {
  uplinkBitsPerSecond: linkProfiles[link].up.bitsPerSecond,
  downlinkBitsPerSecond: linkProfiles[link].down.bitsPerSecond,
  roundTripMs: linkProfiles[link].up.delayMs + linkProfiles[link].down.delayMs,
  edge: true,
  resident: [],
};

function rowOf(name: string, one: Contestant, found: Found, browserMs: number): BenchRow {
  const { accuracy, bytes, exitRate, payloadBytes } = one;
  const [low, high] = wilson(accuracy, found.testSamples);
  const { warmMs, coldMs } = expectedLatency(
    [{ downloadBytes: bytes, deviceMs: browserMs, exitRate }],
    { uplinkBytes: payloadBytes, edgeMs: 0, classes: found.manifest.labels.length },
    linkContext,
  );
  return {
    case: `${name}/${one.name}`,
    metrics: {
      accuracy: significant(accuracy, 6),
      accuracyLow: significant(low, 6),
      accuracyHigh: significant(high, 6),
      bytes,
      browserMs: significant(browserMs),
      exitRate: significant(exitRate, 6),
      expectedMs: significant(warmMs),
      firstMs: significant(coldMs),
    },
  };
}

function tableOf(rows: readonly BenchRow[]): Block {
  const points = (share: number) => (100 * share).toFixed(2);
  return {
    kind: 'table',
    title: 'The composite and other ways to make a network small',
    head: [
      '',
      'accuracy',
      'kB of weights',
      'ms in the browser',
      `expected ms, ${link}`,
      'ms with the download of the weights',
    ],
    rows: rows.map(({ case: name, metrics: m }) => [
      name,
      `${points(m['accuracy']!)} (${points(m['accuracyLow']!)} to ${points(m['accuracyHigh']!)})`,
      m['bytes']! / 1000,
      m['browserMs']!,
      m['expectedMs']!,
      m['firstMs']!,
    ]),
  };
}

function chartsOf(name: string, rows: readonly BenchRow[]): Block[] {
  const chart = (title: string, label: string, metric: string): Block => ({
    kind: 'lines',
    title: `${name}: accuracy over ${title}`,
    x: { label, scale: 'log' },
    y: { label: 'accuracy', text: (share) => `${Number((100 * share).toPrecision(4))} %` },
    series: [
      {
        name: 'contestants',
        dots: true,
        points: rows.map((row) => ({
          x: row.metrics[metric]!,
          y: row.metrics['accuracy']!,
          label: row.case.slice(name.length + 1),
        })),
      },
    ],
  });
  return [chart('bytes', 'bytes of weights', 'bytes'), chart('time', 'ms in the browser', 'browserMs')];
}
