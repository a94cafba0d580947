import { basename } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import { relabelled } from '@tierwise/data';
import {
  anySize,
  type BranchChoice,
  findNetwork,
  freeDesign,
  type Network,
  networkComposite,
  networks,
  type OptimizerName,
  optimizers,
  phasesOf,
  runRecordFiles,
  schedules,
  stemDimsOf,
  studentTemperature,
  type TrainingSettings,
  temperatureOf,
  writeNetwork,
} from '@tierwise/train';
import type { Command } from 'commander';
import { readTeacher } from '../bundle.ts';
import { dataHelp, loadData } from '../data.ts';
import { handle, untilCtrlC } from '../handle.ts';
import type { Terminal } from '../terminal.ts';
import {
  augmentationOf,
  branchChoice,
  bundleFolder,
  divided,
  finishTraining,
  networkFile,
  type TrainingFlags,
  teachingOf,
  trainingRun,
  trainOrExport,
  withTrainingOptions,
} from '../training.ts';
import { real, whole } from '../values.ts';
import { networkText } from './eval.ts';

/** Samples held back of many: more of them would not choose a better threshold. */
const mostHeldBack = 5000;

interface TrainFlags extends TrainingFlags {
  readonly network: string;
  readonly output: string;
  readonly schedule: string;
  readonly epochs: number;
  readonly branchEpochs?: number;
  readonly optimizer?: string;
  readonly rate?: number;
  readonly branchRate?: number;
  readonly branchBatch?: number;
  readonly dropout?: number;
  /** Checkpoint whose main network is taken. */
  readonly main?: string;
  /** Bundle whose main network teaches. */
  readonly studentOf?: string;
}

/** `tierwise train`: from a data set to a bundle, by way of a checkpoint beside it. */
async function trainCommand(flags: TrainFlags, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const network = findNetwork(flags.network);
  const schedule = oneOf('--schedule', flags.schedule, schedules);
  const alone = schedule === 'main-only';
  const output = alone ? networkFile(flags.output) : bundleFolder(flags.output);
  if (alone) refuseBranch(flags);
  else if (flags.studentOf !== undefined)
    throw new TierwiseError('USAGE', '--student-of: a student is trained alone, with --schedule main-only');
  const branch = branchOf(network, flags);
  const progressive = flags.progressive ? anySize(network, branch.design, schedule) : undefined;
  if (progressive && !alone && !(progressive.main && progressive.branch))
    terminal.note(
      `--progressive: ${progressive.main ? 'the branch' : network.name} has a dense layer over its whole map, so only ${progressive.main ? `${network.name}'s pictures` : "the branch's stems"} are smaller at first`,
    );
  const optimizer =
    flags.optimizer === undefined
      ? undefined
      : oneOf('--optimizer', flags.optimizer, Object.keys(optimizers) as OptimizerName[]);
  const taught =
    flags.studentOf === undefined ? undefined : await readTeacher(flags.studentOf, network.input);
  const loaded = await loadData(flags.data, network.input, terminal, signal);
  const data = taught ? relabelled(loaded, taught.labels) : loaded;
  const { holdout, batch } = divided(data.train.samples, flags, {
    batch: network.training.batch,
    holdout: mostHeldBack,
  });
  const phases = phasesOf(network, schedule, branch.recipe, {
    epochs: flags.epochs,
    optimizer,
    peakRate: flags.rate,
    branchEpochs: flags.branchEpochs ?? flags.epochs,
    branchRate: flags.branchRate,
    branchBatch: flags.branchBatch,
    samples: data.train.samples - holdout,
    batch,
    progressive,
  });
  const run = trainingRun(output, flags, terminal, signal);
  const temperature = taught
    ? await temperatureOf(taught.teacher, data.train, { threads: run.threads, signal })
    : studentTemperature;
  const settings: TrainingSettings = {
    network: flags.network,
    data: data.train.name,
    samples: data.train.samples,
    holdout,
    batch,
    ...branch,
    phases,
    temperature,
    augmentation: augmentationOf(flags, data.train.name),
    smoothing: flags.smoothing,
    ...(taught && { studentOf: taught.studentOf }),
    ...teachingOf(flags, phases, taught !== undefined),
    ...(flags.dropout === undefined ? {} : { dropout: flags.dropout }),
    seed: flags.seed,
  };
  const options = {
    settings,
    data: data.train,
    main: flags.main,
    ...(taught && { teacher: taught.teacher }),
    ...run,
  };
  const trained = await trainOrExport(flags, flags.network, options, terminal);
  if (!trained) return;
  const { weights, history } = trained;
  const { threads } = run;
  if (alone) {
    const made = await writeNetwork(output, { settings, weights, test: data.test, threads });
    terminal.result({ network: output, ...made, history, warnings: data.warnings }, () =>
      [
        networkText(made),
        `Written to ${output}; how the training went: ${runRecordFiles(output).page}`,
        `Give it a branch with: tierwise attach ${output} --data ${flags.data} -o ${basename(output, '.onnx')}.tierwise`,
      ].join('\n'),
    );
    return;
  }
  const composite = networkComposite(settings, weights, data.train.classes.length);
  const { tolerance } = flags;
  await finishTraining(output, data, history, { settings, composite, tolerance, threads, signal }, terminal);
}

/** @throws TierwiseError USAGE naming a flag that is for a branch, where none is trained */
function refuseBranch(flags: TrainFlags): void {
  const { recipe, branchDepth, branchWidth, branchStride, branchEpochs, branchRate, branchBatch, main } =
    flags;
  const depthwise = flags.branchDepthwise || undefined;
  const given = {
    '--recipe': recipe,
    '--branch-depth': branchDepth,
    '--branch-width': branchWidth,
    '--branch-stride': branchStride,
    '--branch-depthwise': depthwise,
    '--branch-epochs': branchEpochs,
    '--branch-rate': branchRate,
    '--branch-batch': branchBatch,
    '--main': main,
  };
  for (const [flag, value] of Object.entries(given))
    if (value !== undefined)
      throw new TierwiseError('USAGE', `${flag}: --schedule main-only trains no branch`);
}

/** The branch that mirrors the network, or with --branch-depth, -width or -stride one that is free of it. */
function branchOf(network: Network, flags: TrainFlags): BranchChoice {
  const { branchDepth, branchWidth, branchStride } = flags;
  const { mirror } = network;
  if (branchDepth === undefined && branchWidth === undefined && branchStride === undefined)
    return branchChoice(mirror, flags);
  const convolutions = mirror.blocks.reduce((sum, { convs }) => sum + convs, 0);
  const design = freeDesign(stemDimsOf(network), {
    depth: branchDepth ?? convolutions,
    width: branchWidth ?? stemDimsOf(network)[1]!,
    stride: branchStride ?? 1,
  });
  return branchChoice(design, flags);
}

/** @throws TierwiseError USAGE when `value` is not one of `known` */
function oneOf<const T extends string>(flag: string, value: string, known: readonly T[]): T {
  const found = known.find((name) => name === value);
  if (found === undefined)
    throw new TierwiseError('USAGE', `${flag}: there is no "${value}"; there are ${known.join(', ')}`);
  return found;
}

/** Adds `tierwise train` and its options. */
export function addTrain(program: Command): void {
  withTrainingOptions(
    program
      .command('train')
      .description('train a composite from scratch and write it as a bundle, or a network alone')
      .requiredOption('--network <name>', `one of: ${Object.keys(networks).join(', ')}`)
      .requiredOption('--data <name|folder>', dataHelp)
      .requiredOption(
        '-o, --output <path>',
        'the bundle to write, NAME.tierwise; with --schedule main-only the file NAME.onnx',
      )
      .option(
        '--schedule <name>',
        'joint: main network and branch at once; main-first: then the branch on the frozen main network, by distillation; main-only: no branch, for attach',
        'joint',
      )
      .option(
        '--epochs <n>',
        'passes over the training samples; of the main network when it goes first',
        whole(1),
        12,
      )
      .option('--branch-epochs <n>', 'of the branch when it goes second (default: as --epochs)', whole(1))
      .option(
        '--batch <n>',
        "samples in one step (default: the network's own, or an eighth of few samples)",
        whole(2),
      )
      .option(
        '--optimizer <name>',
        `one of: ${Object.keys(optimizers).join(', ')} (default: adam for joint, else the network's own)`,
      )
      .option(
        '--rate <x>',
        "highest learning rate, with a warm-up before and a cosine after it (default: the optimizer's own)",
        real(0, 10),
      )
      .option(
        '--branch-rate <x>',
        'of the branch when it goes second, with adam (default: 0.002)',
        real(0, 10),
      )
      .option(
        '--branch-batch <n>',
        'samples in one step of the branch when it goes second (default: as --batch)',
        whole(2),
      )
      .option(
        '--dropout <share>',
        "of what enters a dense layer set to 0 at random; 0 suits few epochs (default: the network's own)",
        real(0, 0.99),
      )
      .option(
        '--main <checkpoint>',
        'with main-first: take the trained main network of another run, which differs in its branch only',
      )
      .option(
        '--student-of <bundle>',
        "with main-only: learn to match the scores of NAME.tierwise's main network, too (distillation)",
      )
      .option(
        '--branch-depth <n>',
        'binary convolutions of a branch that does not mirror the network',
        whole(1),
      )
      .option('--branch-width <n>', 'filters of its first one; they double where the map is halved', whole(1))
      .option(
        '--holdout <n>',
        'training samples held back to choose the threshold (default: a fifth, at most 5000)',
        whole(1),
      ),
  ).action(handle((terminal, flags: TrainFlags) => trainCommand(flags, terminal, untilCtrlC())));
}
