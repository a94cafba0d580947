import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import {
  augmentationFor,
  findNetwork,
  findRecipe,
  freeDesign,
  makeComposite,
  mirrorOf,
  type Network,
  networkComposite,
  type OptimizerName,
  optimizers,
  phasesOf,
  type RecipeName,
  schedules,
  stemDimsOf,
  type TrainingProgress,
  type TrainingSettings,
  train,
  writeBundle,
} from '@tierwise/train';
import { loadData } from '../data.ts';
import { percent, secondsText, type Terminal } from '../terminal.ts';
import { evaluationText } from './eval.ts';

export interface TrainFlags {
  readonly network: string;
  readonly data: string;
  readonly output: string;
  readonly schedule: string;
  readonly epochs: number;
  readonly branchEpochs?: number;
  readonly batch?: number;
  readonly optimizer?: string;
  readonly rate?: number;
  readonly branchRate?: number;
  readonly recipe: string;
  readonly branchDepth?: number;
  readonly branchWidth?: number;
  readonly holdout: number;
  readonly shift?: number;
  readonly flip?: boolean;
  readonly cutout?: number;
  readonly smoothing: number;
  readonly seed: number;
  readonly tolerance: number;
  readonly threads?: number;
  readonly checkpointSteps: number;
  readonly resume: boolean;
}

/** `tierwise train`: from a data set to a bundle, by way of a checkpoint beside it. */
export async function trainCommand(
  flags: TrainFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const folder = bundleFolder(flags.output);
  const network = findNetwork(flags.network);
  const schedule = oneOf('--schedule', flags.schedule, schedules);
  findRecipe(flags.recipe);
  const optimizer =
    flags.optimizer === undefined
      ? undefined
      : oneOf('--optimizer', flags.optimizer, Object.keys(optimizers) as OptimizerName[]);
  const size = network.input;
  const data = await loadData(flags.data, size, terminal, signal);
  const { channels, height, width } = size;
  if (data.train.channels !== channels || data.train.height !== height || data.train.width !== width)
    throw new TierwiseError(
      'USAGE',
      `${flags.network} takes pictures of ${width} x ${height} x ${channels}, ${flags.data} has ${data.train.width} x ${data.train.height} x ${data.train.channels}`,
    );
  const batch = flags.batch ?? network.training.batch;
  if (flags.holdout + batch > data.train.samples)
    throw new TierwiseError(
      'USAGE',
      `--holdout ${flags.holdout} leaves no batch of ${batch} among ${data.train.samples} samples`,
    );
  const usual = augmentationFor(data.train.name);
  const settings: TrainingSettings = {
    network: flags.network,
    data: data.train.name,
    samples: data.train.samples,
    holdout: flags.holdout,
    batch,
    ...branchOf(network, flags),
    phases: phasesOf(network, schedule, {
      epochs: flags.epochs,
      optimizer,
      peakRate: flags.rate,
      branchEpochs: flags.branchEpochs ?? flags.epochs,
      branchRate: flags.branchRate,
      stepsPerEpoch: Math.floor((data.train.samples - flags.holdout) / batch),
    }),
    temperature: 4,
    augmentation: {
      shift: flags.shift ?? usual.shift,
      flip: flags.flip ?? usual.flip,
      cutout: flags.cutout ?? usual.cutout,
    },
    smoothing: flags.smoothing,
    seed: flags.seed,
  };
  const checkpoint = `${folder}.checkpoint.safetensors`;
  const threads = flags.threads ?? Math.min(4, availableParallelism());
  terminal.note(
    `Training ${flags.network} on ${data.train.samples.toLocaleString('en')} samples of ${data.train.name}, ${flags.holdout} of them held back; checkpoint ${checkpoint}`,
  );
  let last: TrainingProgress | undefined;
  const { weights, history } = await train({
    settings,
    data: data.train,
    threads,
    checkpoint,
    checkpointSteps: flags.checkpointSteps,
    resume: flags.resume,
    signal,
    onProgress(p) {
      if (last && (p.epoch !== last.epoch || p.phase !== last.phase)) terminal.note(progressText(last));
      last = p;
      terminal.progress(`${progressText(p)}  ${secondsText(p.secondsLeft)} left`);
    },
  });
  if (last) terminal.note(progressText(last));
  const made = await makeComposite({
    name: basename(folder, '.tierwise'),
    settings,
    composite: networkComposite(settings, weights, data.train.classes.length),
    train: data.train,
    test: data.test,
    tolerance: flags.tolerance,
    threads,
    signal,
    onProgress: (stage, p) =>
      terminal.progress(`measuring on the ${stage} samples: ${p.done} of ${p.samples}`),
  });
  await writeBundle(folder, made);
  terminal.result(
    { bundle: folder, ...made.evaluation, history, warnings: data.warnings },
    () => `${evaluationText(made.evaluation)}\nWritten to ${folder}`,
  );
}

/** The branch that mirrors the network, or with --branch-depth or --branch-width one that is free of it. */
function branchOf(network: Network, { recipe, branchDepth, branchWidth }: TrainFlags) {
  const mirrored = mirrorOf(network, recipe as RecipeName);
  if (branchDepth === undefined && branchWidth === undefined) return mirrored;
  const convolutions = mirrored.design.blocks.reduce((sum, { convs }) => sum + convs, 0);
  const design = freeDesign(stemDimsOf(network), {
    depth: branchDepth ?? convolutions,
    width: branchWidth ?? stemDimsOf(network)[1]!,
  });
  return { ...mirrored, design };
}

function progressText(p: TrainingProgress): string {
  const heads = (['main', 'branch'] as const).flatMap((head) => {
    const [loss, accuracy] = [p.losses[head], p.accuracies[head]];
    return loss === undefined || accuracy === undefined
      ? []
      : [`${head}: loss ${loss.toFixed(4)}, accuracy ${percent(accuracy)}`];
  });
  return `${p.phase}  epoch ${p.epoch}/${p.epochs}  step ${p.step}/${p.steps}  ${heads.join('  ')}  ${p.samplesPerSecond.toFixed(0)} samples/s`;
}

/** @throws TierwiseError USAGE when `value` is not one of `known` */
function oneOf<const T extends string>(flag: string, value: string, known: readonly T[]): T {
  const found = known.find((name) => name === value);
  if (found === undefined)
    throw new TierwiseError('USAGE', `${flag}: there is no "${value}"; there are ${known.join(', ')}`);
  return found;
}

/** @throws TierwiseError USAGE unless the name ends in .tierwise and can be a model's name */
function bundleFolder(output: string): string {
  const folder = output.replace(/\/+$/, '');
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.tierwise$/.test(basename(folder)))
    throw new TierwiseError(
      'USAGE',
      `--output must be a folder named like lenet.tierwise (letters, digits, ".", "_", "-"), not "${output}"`,
    );
  return folder;
}
