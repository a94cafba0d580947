import { compileBranch } from '@tierwise/binary/compile';
import { type PreprocessSpec, sha256Hex, TierwiseError } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import { extract, type ModelProto, summarize, writeOnnx } from '@tierwise/graph';
import { type Artifact, type Manifest, parseManifest } from '@tierwise/plan';
import { energies, rejectionThreshold } from '../confidence/rejection.ts';
import type { Weights } from '../layers/inference.ts';
import { exportComposite, pixelPreprocess, ports } from '../networks/export.ts';
import { findNetwork } from '../networks/index.ts';
import { holdBack } from '../training/batches.ts';
import type { TrainingSettings } from '../training/settings.ts';
import { calibrateRange, chooseCodec } from './calibrate.ts';
import {
  type Evaluation,
  evaluate,
  judgeBranch,
  type Measured,
  openComposite,
  type Progress,
} from './evaluate.ts';
import { chooseThreshold, type ThresholdChoice } from './threshold.ts';

/** The files of a composite, not yet written. */
export interface CompositeFiles {
  readonly manifest: Manifest;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly evaluation: Evaluation;
}

/** A trained composite as one graph: what `makeComposite` turns into files. */
export interface CompositeGraph {
  readonly model: ModelProto;
  /** Names of its tensors: what it takes, where the branch leaves, and the scores of both. */
  readonly ports: {
    readonly input: string;
    readonly stem: string;
    readonly main: string;
    readonly branch: string;
  };
  /** Shape of the tensor at the cut for one sample, [1, c, h, w]. */
  readonly stemDims: readonly number[];
  readonly preprocess: PreprocessSpec;
}

/** The composite of a network of ours with the `weights` that `train` gave for `settings`. */
export function networkComposite(
  settings: TrainingSettings,
  weights: Weights,
  classes: number,
): CompositeGraph {
  const network = findNetwork(settings.network);
  const exported = exportComposite(network, weights, classes, { smallEnds: true, branch: settings });
  return { ...exported, ports, preprocess: pixelPreprocess(network) };
}

/** What a bundle is made of once its weights are trained. */
export interface MakeOptions {
  readonly name: string;
  /** What it was trained with: kept in the manifest. The samples held back are drawn from its `seed`. */
  readonly settings: TrainingSettings;
  readonly composite: CompositeGraph;
  /** Where the network came from, when it is not one of ours: kept in the manifest, any JSON. */
  readonly backbone?: Readonly<Record<string, unknown>>;
  readonly train: Dataset;
  readonly test: Dataset;
  /** Accuracy that the threshold may cost on the held-back samples, a share, e.g. 0.0003; packing may cost twice that. */
  readonly tolerance: number;
  readonly threads: number;
  readonly onProgress?: (stage: string, progress: Progress) => void;
  readonly signal?: AbortSignal;
}

/** The samples `indices` of `data` as a data set of their own. */
export function subset(data: Dataset, indices: Uint32Array): Dataset {
  const size = data.channels * data.height * data.width;
  const images = new Uint8Array(indices.length * size);
  for (const [i, index] of indices.entries())
    images.set(data.images.subarray(index * size, (index + 1) * size), i * size);
  return {
    ...data,
    images,
    labels: Uint16Array.from(indices, (index) => data.labels[index]!),
    samples: indices.length,
  };
}

/**
 * Turns a trained graph into a composite: compiles the branch, and chooses codec and threshold on the training samples
 * that were held back. The test set is looked at once, at the end, to report.
 */
export async function makeComposite(options: MakeOptions): Promise<CompositeFiles> {
  const { settings, train, test, tolerance } = options;
  const { model, ports, preprocess } = options.composite;
  const classes = train.classes.length;
  const branch = compileBranch(model, {
    input: ports.input,
    outputs: [ports.stem, ports.branch],
    halfPrecisionEnds: true,
  });
  const modelBytes = writeOnnx(model);
  const inputDims = [1, preprocess.channels, preprocess.height, preprocess.width];
  const input = { tensor: ports.input, dims: inputDims };
  const stem = { tensor: ports.stem, dims: [...options.composite.stemDims] };
  await using composite = await openComposite({
    model: modelBytes,
    branch,
    ports: { input, stem, main: ports.main, branch: ports.branch },
    preprocess,
    threads: options.threads,
  });

  const held = subset(train, holdBack(train.samples, settings.holdout, settings.seed).held);
  const { codec, choice, rejection, tried } = await decide(composite, held, tolerance, options);
  const artifact = async (file: string, bytes: Uint8Array, engine: Artifact['engine']) => ({
    file,
    digest: await sha256Hex(bytes),
    bytes: bytes.byteLength,
    engine,
  });
  const files = new Map([
    ['branch.safetensors', branch],
    ['model.onnx', modelBytes],
  ]);
  const draft = {
    format: 'tierwise/1',
    name: options.name,
    labels: [...train.classes],
    preprocess,
    input,
    stem,
    branch: {
      artifact: await artifact('branch.safetensors', branch, 'binary'),
      scores: { tensor: ports.branch, dims: [1, classes] },
    },
    main: {
      artifact: await artifact('model.onnx', modelBytes, 'onnx'),
      scores: { tensor: ports.main, dims: [1, classes] },
    },
    codec,
    exit: { kind: 'entropy', threshold: choice.threshold },
    rejection,
    flops: flopsOf(options.composite),
  };
  const evaluation = await evaluate(composite, parseManifest(draft), test, {
    onProgress: (p) => options.onProgress?.('test', p),
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const manifest = parseManifest({
    ...draft,
    measured: {
      data: test.name,
      samples: test.samples,
      mainAccuracy: evaluation.main.accuracy,
      branchAccuracy: evaluation.branch.accuracy,
      compositeAccuracy: evaluation.composite.accuracy,
      exitRate: evaluation.composite.exitRate,
    },
    provenance: {
      settings,
      ...(options.backbone ? { backbone: options.backbone } : {}),
      heldBack: { samples: held.samples, tolerance, ...choice, mainAccuracyByBits: tried },
    },
  });
  return { manifest, files, evaluation };
}

async function decide(composite: Measured, held: Dataset, tolerance: number, options: MakeOptions) {
  const { stems, scores } = await composite.branch(
    held,
    (p) => options.onProgress?.('held back', p),
    options.signal,
  );
  const { entropies, right } = judgeBranch(scores, held);
  const { codec, tried } = await chooseCodec(calibrateRange(stems), 2 * tolerance, (candidate) =>
    composite.rest(held, stems, candidate),
  );
  const { right: mainRight, payloadBytes } = await composite.rest(held, stems, codec);
  const samples = Array.from(entropies, (entropy, i) => ({
    entropy,
    branchRight: right[i] === 1,
    mainRight: mainRight[i] === 1,
    payloadBytes: payloadBytes[i]!,
  }));
  const choice: ThresholdChoice = chooseThreshold(samples, tolerance);
  if (!(choice.threshold >= 0)) throw new TierwiseError('INTERNAL', 'internal: no threshold was found');
  const rejection = rejectionThreshold(energies(scores, held.classes.length));
  return { codec, choice, rejection, tried };
}

function flopsOf({ model, ports }: CompositeGraph): Manifest['flops'] {
  const flops = (inputs: string[], outputs: string[]) =>
    summarize(extract(model, { inputs, outputs })).totals.flops;
  return {
    stem: flops([ports.input], [ports.stem]),
    branch: flops([ports.stem], [ports.branch]),
    rest: flops([ports.stem], [ports.main]),
  };
}
