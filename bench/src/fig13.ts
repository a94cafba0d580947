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
import { evaluationOf, expectedLatency, observedRanges, ports, wilson } from '@tierwise/train';
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

/** A network without a branch that a command has trained. */
interface Rival {
  readonly name: string;
  /** ONNX, from the folder of the repository. */
  readonly file: string;
  readonly command: string;
}

interface Fig13Case {
  /** A row of Table 1, whose bundle is the composite. */
  readonly name: string;
  /** Networks of about the bytes of the branch, in float32: one that learnt from labels alone, and one that the main network taught. */
  readonly rivals: readonly Rival[];
}

const trained = (name: string, file: string, how: string): Rival => ({
  name,
  file,
  command: `npx tierwise train ${how} --schedule main-only -o ${file}`,
});

const mobilenet = '--network mobilenet-v2-0.25 --data cifar-10 --progressive --epochs 30 --holdout 2000';
const narrow = '--network lenet-narrow --data mnist';

/** A MobileNetV2 of a quarter of the width, and the student of the network of `name`. */
const mobilenets = (name: string): readonly Rival[] => [
  trained('mobilenet-v2-0.25', 'runs/mobilenet-v2-0.25.onnx', mobilenet),
  trained(
    'student',
    `runs/${name}-student.onnx`,
    `${mobilenet} --student-of runs/${name}.tierwise --views 10`,
  ),
];

/**
 * LcDNN has ResNet18 on CIFAR-10 and VGG16 on ImageNet-150K, whose data are not here; LeNet is what minutes allow, the others
 * what hours do.
 */
export const fig13Cases: readonly Fig13Case[] = [
  {
    name: 'lenet-mnist',
    rivals: [
      trained('narrow', 'models/lenet-narrow.onnx', narrow),
      trained('student', 'models/lenet-student.onnx', `${narrow} --student-of models/lenet-mnist.tierwise`),
    ],
  },
  ...['alexnet-cifar-10', 'resnet18-cifar-10', 'resnet18-stage1-cifar-10', 'vgg16-stage2-cifar-10'].map(
    (name) => ({ name, rivals: mobilenets(name) }),
  ),
  { name: 'vgg16-imagenet-150', rivals: [] },
];

const link = 'fast-4g';
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
    for (const { name, command } of found.missing)
      rows.push({
        case: `${one.name}/${name}`,
        metrics: {},
        facts: { state: 'not trained here', command },
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
      rivals: `student: taught by the main network besides the labels, else as the one above; int8: the main network in QDQ form, ranges over ${calibrationPictures} training pictures`,
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
  readonly missing: readonly Rival[];
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
  const missing: Rival[] = [];
  for (const rival of one.rivals) {
    const bytes = await bytesOf(rival.file);
    if (bytes) await addOnnx(rival.name, foldAffine(readOnnx(bytes, rival.file)));
    else missing.push(rival);
  }
  return { manifest, testSamples: data.samples, contestants, files, missing };
}

/** What is in a file of the repository's folder, if it is there. */
async function bytesOf(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(join(repository, file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
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
