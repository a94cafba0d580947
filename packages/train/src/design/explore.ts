import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compileBranch } from '@tierwise/binary/compile';
import { TierwiseError } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import { writeOnnx } from '@tierwise/graph';
import { judgeBranch, openComposite } from '../bundle/evaluate.ts';
import { subset } from '../bundle/make.ts';
import { writeFileWhole } from '../files.ts';
import type { Weights } from '../layers/inference.ts';
import { addBranch, exportMain, pixelPreprocess, ports } from '../networks/export.ts';
import type { Network } from '../networks/index.ts';
import { plainBlock } from '../recipes/design.ts';
import type { BranchDesign, RecipeName } from '../recipes/index.ts';
import { studentTemperature } from '../step/step.ts';
import { holdBack } from '../training/batches.ts';
import { backboneOf } from '../training/phases.ts';
import { phasesOf } from '../training/schedule.ts';
import { augmentationFor, type TrainingSettings } from '../training/settings.ts';
import { type TrainingProgress, type TrainOptions, train } from '../training/trainer.ts';
import { type Interval, wilson } from './interval.ts';

/** What short runs are determined by: results of other runs cannot be compared with them. */
export interface ExploreSettings {
  readonly network: string;
  readonly data: string;
  readonly recipe: RecipeName;
  /** Of the training half, held-back ones included. */
  readonly samples: number;
  readonly holdout: number;
  readonly epochs: number;
  readonly branchEpochs: number;
  readonly seed: number;
}

export interface ExploreOptions {
  readonly settings: ExploreSettings;
  readonly network: Network;
  readonly train: Dataset;
  /** Numbers of blocks and of binary dense layers; every pair is tried. */
  readonly blocks: readonly number[];
  readonly dense: readonly number[];
  /** Checkpoints and `results.json`; what is there already is not trained again. */
  readonly folder: string;
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly onProgress: (what: string, progress?: TrainingProgress) => void;
}

/** A branch that a short run has trained. */
export interface ExploredBranch {
  readonly blocks: number;
  readonly dense: number;
  /** Binary convolutions of those blocks. */
  readonly convolutions: number;
  /** Of the branch's file. */
  readonly bytes: number;
  /** On the held-back samples. */
  readonly accuracy: number;
  readonly accuracyInterval: Interval;
  readonly seconds: number;
}

/** What short runs over depths and widths of a branch have given. */
export interface Exploration {
  readonly settings: ExploreSettings;
  /** Share of the held-back samples that the main network gets right after its own short run. */
  readonly mainAccuracy: number;
  readonly branches: readonly ExploredBranch[];
}

/** Units of a dense layer where the mirrored branch has none to follow. */
const usualUnits = 256;

/**
 * The first `blocks` blocks and `dense` dense layers of the mirrored branch. Where it has fewer, its last one is
 * repeated, a block without pooling or stride.
 */
export function partOf(mirror: BranchDesign, blocks: number, dense: number): BranchDesign {
  const { filters } = mirror.blocks.at(-1)!;
  return {
    blocks: Array.from({ length: blocks }, (_, i) => mirror.blocks[i] ?? { ...plainBlock, filters }),
    dense: Array.from({ length: dense }, (_, i) => mirror.dense[i] ?? mirror.dense.at(-1) ?? usualUnits),
  };
}

const resultsFile = 'results.json';

/**
 * Trains the main network for a few epochs, and on it, frozen, one branch for each pair of depths for a few epochs:
 * LcDNN's Fig. 7 for any network. Short runs rank branches; they do not reach what a long one does. Branches are
 * measured as deployed on samples that were held back, never on the test set.
 *
 * @throws TierwiseError CHECKPOINT_INVALID when `folder` holds runs with other settings; CANCELLED, and then the same
 *   call goes on from where it was; what training throws
 */
export async function exploreBranches(options: ExploreOptions): Promise<Exploration> {
  const { settings, network, folder, threads, signal, onProgress } = options;
  await mkdir(folder, { recursive: true });
  const known = await readResults(folder, settings);
  const data = subset(options.train, holdBack(options.train.samples, settings.samples, settings.seed).held);
  const held = subset(data, holdBack(data.samples, settings.holdout, settings.seed).held);
  const classes = data.classes.length;
  const base = baseSettings(network, settings);
  const common = (name: string): Omit<TrainOptions, 'settings'> => ({
    data,
    threads,
    checkpoint: join(folder, `${name}.checkpoint.safetensors`),
    checkpointSteps: 100,
    resume: true,
    signal,
    onProgress: (progress) => onProgress(name, progress),
  });
  const isMain = ({ kind }: TrainingSettings['phases'][number]) => kind === 'main';
  const main = await train({
    ...common('main'),
    settings: { ...base, phases: base.phases.filter(isMain) },
  });
  const backbone = backboneOf(network, main.weights, classes);
  const branches = [...(known?.branches ?? [])];
  let mainAccuracy = known?.mainAccuracy;
  const found = () => ({ settings, mainAccuracy: mainAccuracy ?? 0, branches });
  for (const [blocks, dense] of options.blocks.flatMap((n) => options.dense.map((m) => [n, m] as const))) {
    if (branches.some((one) => one.blocks === blocks && one.dense === dense)) continue;
    const design = partOf(network.mirror, blocks, dense);
    const started = performance.now();
    const name = `${blocks}-${dense}`;
    const { weights } = await train({
      ...common(name),
      settings: { ...base, design, phases: base.phases.filter((phase) => !isMain(phase)) },
      backbone,
    });
    onProgress(`${name}: measuring`);
    const measured = await measure(options, main.weights, weights, design, held, mainAccuracy === undefined);
    mainAccuracy ??= measured.mainAccuracy;
    branches.push({
      blocks,
      dense,
      convolutions: design.blocks.reduce((sum, { convs }) => sum + convs, 0),
      bytes: measured.bytes,
      accuracy: measured.accuracy,
      accuracyInterval: wilson(measured.accuracy, held.samples),
      seconds: (performance.now() - started) / 1000,
    });
    const text = `${JSON.stringify(found(), null, 2)}\n`;
    await writeFileWhole(join(folder, resultsFile), new TextEncoder().encode(text));
  }
  const wanted = (one: ExploredBranch) =>
    options.blocks.includes(one.blocks) && options.dense.includes(one.dense);
  return { ...found(), branches: branches.filter(wanted) };
}

function baseSettings(network: Network, settings: ExploreSettings): TrainingSettings {
  const { recipe, samples, holdout, epochs, branchEpochs, seed } = settings;
  const { batch } = network.training;
  return {
    network: settings.network,
    data: settings.data,
    samples,
    holdout,
    batch,
    recipe,
    design: network.mirror,
    phases: phasesOf(network, 'main-first', recipe, {
      epochs,
      branchEpochs,
      samples: samples - holdout,
      batch,
    }),
    temperature: studentTemperature,
    augmentation: augmentationFor(settings.data),
    smoothing: 0,
    seed,
  };
}

/** Bytes of the branch and its accuracy on `held`, as deployed; that of the main network where it is wanted. */
async function measure(
  { settings, network, threads, signal }: ExploreOptions,
  main: Weights,
  branch: Weights,
  design: BranchDesign,
  held: Dataset,
  wantsMain: boolean,
) {
  const classes = held.classes.length;
  const { model, stemDims } = exportMain(network, main, classes);
  const stem = { tensor: ports.stem, dims: [...stemDims] };
  addBranch(model, { recipe: settings.recipe, design }, branch, { stem, classes, smallEnds: true });
  const program = compileBranch(model, {
    input: ports.input,
    outputs: [ports.stem, ports.branch],
    halfPrecisionEnds: true,
  });
  const { channels, height, width } = network.input;
  await using composite = await openComposite({
    model: writeOnnx(model),
    branch: program,
    ports: {
      input: { tensor: ports.input, dims: [1, channels, height, width] },
      stem,
      main: ports.main,
      branch: ports.branch,
    },
    preprocess: pixelPreprocess(network),
    threads,
  });
  const { right } = judgeBranch((await composite.branch(held, undefined, signal)).scores, held);
  return {
    bytes: program.length,
    accuracy: right.reduce((sum, one) => sum + one, 0) / held.samples,
    mainAccuracy: wantsMain ? await composite.mainAccuracy(held) : undefined,
  };
}

/** What earlier runs left in `folder`; undefined where there is nothing. */
async function readResults(folder: string, settings: ExploreSettings): Promise<Exploration | undefined> {
  const path = join(folder, resultsFile);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new TierwiseError('FILE_UNREADABLE', `${path} cannot be read`, { file: path }, { cause });
  }
  const invalid = (what: string) =>
    new TierwiseError('CHECKPOINT_INVALID', `${path}: ${what}`, { file: path });
  let results: Exploration;
  try {
    results = JSON.parse(text);
  } catch {
    throw invalid('this is not JSON; remove the folder to start again');
  }
  if (typeof results?.settings !== 'object' || !Array.isArray(results.branches))
    throw invalid('these are not results of an exploration');
  for (const key of Object.keys(settings) as (keyof ExploreSettings)[])
    if (results.settings[key] !== settings[key])
      throw invalid(
        `these runs have ${key} ${results.settings[key]}, not ${settings[key]}: take another folder for them`,
      );
  return results;
}
