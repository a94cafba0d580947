import { permutation, random, TierwiseError, tensor } from '@tierwise/core';
import type { Dataset, DatasetSplit } from '@tierwise/data';
import { openSession } from '@tierwise/ort';
import type { CodecPolicy, Manifest } from '@tierwise/plan';
import { pack, packedBits, unpack } from '@tierwise/wire';
import { calibrateRange } from '../bundle/calibrate.ts';
import type { Measured } from '../bundle/evaluate.ts';
import { subset } from '../bundle/make.ts';
import { featureChannels, features, type Grid, gridOf, pictureOf, targetChannels, targets } from './grid.ts';
import { type ImageFiles, imageFiles, type Jpeg } from './image-files.ts';
import { fitLearned, inverterModel } from './learned.ts';
import { type Likeness, likeness } from './likeness.ts';
import { fitLinear, type Pairs, windowSide } from './linear.ts';

/** What `tierwise leakage` prints. Bytes are means over the measured pictures. */
export interface Leakage {
  readonly data: string;
  readonly fittedOn: number;
  /** Pictures that were rebuilt; re-identification is among as many. */
  readonly measuredOn: number;
  /** What the bundle sends with: `raw` or a number of bits. */
  readonly deployed: Precision;
  readonly files: ImageFiles;
  /** The mean picture in place of each: what is known without looking at what was sent. */
  readonly meanPicture: Likeness;
  readonly rows: readonly LeakageRow[];
}

/** Bits a value of what is sent; `raw` is float32. */
export type Precision = 'raw' | (typeof packedBits)[number];

/** What is sent at one precision, and how well the picture is rebuilt from it. */
export interface LeakageRow {
  readonly precision: Precision;
  /** The packed stem; what the frame around it takes is not counted. */
  readonly payloadBytes: number;
  /** Share of the bytes of the same picture as a file that are saved by sending the stem; negative when it is larger. */
  readonly savedOfPng: number;
  readonly savedOfJpeg: number;
  /** Accuracy of the main network on these pictures from what was sent. */
  readonly mainAccuracy: number;
  readonly linear: Likeness;
  readonly learned: Likeness;
  /** The best JPEG that is not larger than what was sent. */
  readonly jpegOfThatSize: Jpeg | undefined;
}

/** The linear inverter at the deployed precision, as a page can run it. */
export interface Inverter {
  readonly branch: string;
  readonly grid: Grid;
  readonly side: number;
  /** What stems are multiplied by before. */
  readonly scale: number;
  /** [targetChannels, featureChannels, side, side]. */
  readonly weights: readonly number[];
}

/** Some pictures and how they were rebuilt at each precision. */
export interface Rebuilt {
  readonly truth: Dataset;
  readonly rows: readonly {
    readonly precision: Precision;
    readonly linear: Dataset;
    readonly learned: Dataset;
  }[];
}

export interface LeakageOptions {
  readonly seed: number;
  readonly threads: number;
  /** Most pictures that are rebuilt. */
  readonly samples: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (line: string) => void;
}

const fitSamples = 1000;
const shown = 10;
/** Most numbers of all stems that are held at once. */
const mostStemNumbers = 2 ** 25;

/**
 * How well pictures can be rebuilt from the stem that `composite` sends, at every precision, by two inverters that know
 * the stem and learnt from training pictures: a linear one, and one with three convolutions more. Both are small: a
 * better attacker rebuilds more, so the figures are a lower bound of what leaks.
 * @throws TierwiseError MODEL_UNSUPPORTED when the stem is no map; CANCELLED
 */
export async function measureLeakage(
  composite: Measured,
  manifest: Manifest,
  data: DatasetSplit,
  options: LeakageOptions,
): Promise<{ leakage: Leakage; inverter: Inverter; rebuilt: Rebuilt }> {
  const { seed, threads, signal, onProgress = () => {} } = options;
  const grid = gridOf(manifest.input.dims, manifest.stem.dims);
  const stemSize = manifest.stem.dims.reduce((a, d) => a * d, 1);
  const room = Math.max(1, Math.floor(mostStemNumbers / stemSize));
  const draw = (from: Dataset, most: number, stream: number) =>
    subset(from, permutation(from.samples, random(seed, stream)).subarray(0, Math.min(most, room)));
  const [fit, test] = [draw(data.train, fitSamples, 0), draw(data.test, options.samples, 1)];
  onProgress(`${fit.samples + test.samples} stems`);
  const [fitStems, testStems] = [
    (await composite.branch(fit, undefined, signal)).stems,
    (await composite.branch(test, undefined, signal)).stems,
  ];
  const { codec } = manifest;
  const range = codec.kind === 'packed' ? { lo: codec.lo, hi: codec.hi } : calibrateRange(fitStems);
  const deployed = codec.kind === 'packed' ? codec.bits : 'raw';
  const scale = 1 / Math.max(Math.abs(range.lo), Math.abs(range.hi));
  onProgress('the same pictures as PNG and JPEG');
  const files = await imageFiles(test);
  const truth = { data: test.images, samples: test.samples, height: test.height, width: test.width };

  const rows: LeakageRow[] = [];
  const few = (images: Uint8Array): Dataset =>
    subset(
      { ...test, images },
      Uint32Array.from({ length: Math.min(shown, test.samples) }, (_, i) => i),
    );
  const rebuilt: Rebuilt['rows'][number][] = [];
  let inverter: Inverter | undefined;
  for (const precision of ['raw', ...packedBits.toReversed()] as const) {
    if (signal?.aborted) throw new TierwiseError('CANCELLED', 'measuring was cancelled');
    const name = precision === 'raw' ? 'raw' : `${precision}-bit`;
    const policy: CodecPolicy =
      precision === 'raw' ? { kind: 'raw' } : { kind: 'packed', bits: precision, ...range };
    const seen = deliver(manifest, fitStems, policy).stems;
    const sent = deliver(manifest, testStems, policy);
    const pairs = pairsOf(grid, fit, seen, scale);
    onProgress(`${name}: linear inverter`);
    const linear = await fitLinear(grid, pairs, threads);
    onProgress(`${name}: learned inverter`);
    const learned = await fitLearned(grid, linear, pairs, { seed, threads });
    const asked = pairsOf(grid, test, sent.stems, scale);
    const byLinear = await rebuild(grid, inverterModel(grid, linear), asked, threads);
    const byLearned = await rebuild(grid, inverterModel(grid, linear, learned), asked, threads);
    const { right } = await composite.rest(test, testStems, policy);
    rows.push({
      precision,
      payloadBytes: sent.bytes,
      savedOfPng: 1 - sent.bytes / files.pngBytes,
      savedOfJpeg: 1 - sent.bytes / files.jpegBytes,
      mainAccuracy: right.reduce((a, b) => a + b, 0) / test.samples,
      linear: likeness(truth, byLinear),
      learned: likeness(truth, byLearned),
      jpegOfThatSize: files.jpegs.findLast(({ bytes }) => bytes <= sent.bytes),
    });
    rebuilt.push({ precision, linear: few(byLinear), learned: few(byLearned) });
    if (precision === deployed)
      inverter = {
        branch: manifest.branch.artifact.digest,
        grid,
        side: windowSide(grid),
        scale,
        weights: Array.from(linear, (w) => Number(w.toPrecision(4))),
      };
  }
  return {
    leakage: {
      data: test.name,
      fittedOn: fit.samples,
      measuredOn: test.samples,
      deployed,
      files,
      meanPicture: likeness(truth, meanPictures(fit, test.samples)),
      rows,
    },
    inverter: inverter!,
    rebuilt: { truth: few(test.images), rows: rebuilt },
  };
}

/** What arrives when `stems` are sent, and their mean bytes. */
function deliver(
  { stem }: Manifest,
  stems: Float32Array,
  policy: CodecPolicy,
): { stems: Float32Array; bytes: number } {
  const size = stem.dims.reduce((a, d) => a * d, 1);
  const arrived = new Float32Array(stems.length);
  let bytes = 0;
  for (let at = 0; at < stems.length; at += size) {
    const packed = pack(tensor('float32', stem.dims, stems.slice(at, at + size)), policy);
    bytes += packed.length;
    arrived.set(unpack(packed).data, at);
  }
  return { stems: arrived, bytes: (bytes * size) / stems.length };
}

function pairsOf(grid: Grid, data: Dataset, stems: Float32Array, scale: number): Pairs {
  const cells = grid.rows * grid.columns;
  const [ins, outs] = [featureChannels(grid) * cells, targetChannels(grid) * cells];
  const pairs = {
    samples: data.samples,
    features: new Float32Array(data.samples * ins),
    targets: new Float32Array(data.samples * outs),
  };
  const [stem, picture] = [stems.length / data.samples, data.images.length / data.samples];
  for (let i = 0; i < data.samples; i++) {
    features(grid, stems.subarray(i * stem, (i + 1) * stem), scale, pairs.features.subarray(i * ins));
    targets(grid, data.images.subarray(i * picture, (i + 1) * picture), pairs.targets.subarray(i * outs));
  }
  return pairs;
}

/** The pictures that an inverter makes of the features of `pairs`, in their order. */
async function rebuild(grid: Grid, model: Uint8Array, pairs: Pairs, threads: number): Promise<Uint8Array> {
  const size = grid.picture.reduce((a, d) => a * d, 1);
  const pictures = new Uint8Array(pairs.samples * size);
  const session = await openSession(model, { threads });
  try {
    const ins = pairs.features.length / pairs.samples;
    const outs = pairs.targets.length / pairs.samples;
    for (let from = 0; from < pairs.samples; from += 50) {
      const n = Math.min(50, pairs.samples - from);
      const x = tensor(
        'float32',
        [n, featureChannels(grid), grid.rows, grid.columns],
        pairs.features.slice(from * ins, (from + n) * ins),
      );
      const said = (await session.run({ x })).get('y')!.data as Float32Array;
      for (let i = 0; i < n; i++)
        pictureOf(grid, said.subarray(i * outs, (i + 1) * outs), pictures.subarray((from + i) * size));
    }
  } finally {
    await session.dispose();
  }
  return pictures;
}

function meanPictures({ images, samples }: Dataset, count: number): Uint8Array {
  const size = images.length / samples;
  const mean = new Float64Array(size);
  for (let i = 0; i < images.length; i++) mean[i % size]! += images[i]! / samples;
  return Uint8Array.from({ length: count * size }, (_, i) => Math.round(mean[i % size]!));
}
