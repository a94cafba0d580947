import { basename } from 'node:path';
import { sha256Hex, TierwiseError } from '@tierwise/core';
import { type DatasetSplit, relabelled } from '@tierwise/data';
import {
  attachedComposite,
  branchPhases,
  designFor,
  findRecipe,
  fineTuning,
  type ImportedBackbone,
  importBackbone,
  type Normalization,
  type NormalizationTrial,
  type TrainingSettings,
  temperatureFor,
  tryNormalizations,
} from '@tierwise/train';
import { type Command, Option } from 'commander';
import { dataHelp, loadData } from '../data.ts';
import { type ModelFile, readBytes, readModel } from '../files.ts';
import { handle, untilCtrlC } from '../handle.ts';
import { percent, type Terminal } from '../terminal.ts';
import {
  augmentationOf,
  branchChoice,
  bundleFolder,
  divided,
  finishTraining,
  type TrainingFlags,
  teachingOf,
  trainingRun,
  trainOrExport,
  withTrainingOptions,
} from '../training.ts';
import { fraction, numbers, pictureSize, real, whole } from '../values.ts';

interface AttachFlags extends TrainingFlags {
  readonly bundle: string;
  readonly at?: string;
  readonly output?: string;
  readonly size?: { readonly height: number; readonly width: number };
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly scale?: number;
  readonly bgr: boolean;
  readonly classes?: string;
  readonly joint: boolean;
  readonly epochs: number;
  readonly rate?: number;
}

const [usualBatch, mostHeldBack] = [100, 5000];
/** Most numbers in the stems of the held-back samples, which are in memory together: 1 GB. */
const mostStemNumbers = 2.5e8;

/** `tierwise attach`: somebody's ONNX classifier and pictures become a bundle. */
async function attachCommand(
  file: string,
  flags: AttachFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const folder = bundleFolder(flags.bundle);
  if (flags.recipe !== undefined) findRecipe(flags.recipe);
  const source = await readModel(file);
  const { at, output, size, bgr } = flags;
  const backbone = await importBackbone(source.model, { at, output, size, bgr });
  const { pictures, classes, stemDims } = backbone;
  terminal.note(
    `${file}: ${classes} classes of ${pictures.width} x ${pictures.height} x ${pictures.channels} pictures`,
  );
  for (const note of backbone.notes) terminal.note(`  ${note}`);
  const data = await dataFor(backbone, flags, terminal, signal);
  const run = trainingRun(folder, flags, terminal, signal);
  const { values, spread } = await normalizationFor(backbone, data, flags, run.threads, terminal, signal);
  const settings = {
    ...settingsFor(backbone, data, flags, basename(file)),
    temperature: temperatureFor(spread),
  };
  const preprocess = { ...pictures, ...values };
  const trained = await trainOrExport(
    flags,
    `${flags.joint ? 'the network and ' : ''}a branch of [${stemDims}]`,
    { backbone: { ...backbone, preprocess }, settings, data: data.train, ...run },
    terminal,
  );
  if (!trained) return;
  const { weights, history } = trained;
  const notes = [...backbone.notes];
  if (flags.joint) {
    const { samples } = data.test;
    const trial = { given: values, samples, threads: run.threads, signal };
    const [before] = await tryNormalizations(backbone, data.test, trial);
    const note = `before this training the network got ${percent(before!.accuracy)} of the ${samples.toLocaleString('en')} test samples right`;
    terminal.note(note);
    notes.push(note);
  }
  const composite = attachedComposite(backbone, preprocess, settings, weights);
  const origin = { ...(await originOf(file, source)), notes };
  await finishTraining(
    folder,
    data,
    history,
    { settings, composite, backbone: origin, tolerance: flags.tolerance, threads: run.threads, signal },
    terminal,
  );
}

/** Where a network came from: its file and those beside it that hold weights of it, each with its digest. */
async function originOf(file: string, { bytes, beside }: ModelFile) {
  const weights = [...beside].map(async ([name, data]) => ({ file: name, digest: await sha256Hex(data) }));
  return {
    file: basename(file),
    digest: await sha256Hex(bytes),
    ...(beside.size > 0 ? { weights: await Promise.all(weights) } : {}),
  };
}

/** The data with the network's pictures and classes. */
async function dataFor(
  { pictures, classes }: ImportedBackbone,
  flags: AttachFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<DatasetSplit> {
  const loaded = await loadData(flags.data, pictures, terminal, signal);
  const names = flags.classes === undefined ? loaded.train.classes : await classNames(flags.classes);
  if (names.length !== classes)
    throw new TierwiseError(
      'USAGE',
      flags.classes === undefined
        ? `the network tells ${classes} classes apart, ${flags.data} has ${names.length}: list those of the network, in its order, in a file for --classes`
        : `the network tells ${classes} classes apart, ${flags.classes} lists ${names.length}`,
    );
  return flags.classes === undefined ? loaded : relabelled(loaded, names);
}

async function classNames(file: string): Promise<string[]> {
  const lines = new TextDecoder().decode(await readBytes(file)).split(/\r?\n/);
  return lines.slice(0, lines.at(-1) === '' ? -1 : undefined);
}

/** As the flags say, or else the usual one that the backbone gets most samples right with. */
async function normalizationFor(
  backbone: ImportedBackbone,
  data: DatasetSplit,
  flags: AttachFlags,
  threads: number,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<NormalizationTrial> {
  const { mean, std, scale } = flags;
  const { channels } = backbone.pictures;
  for (const [flag, list] of Object.entries({ '--mean': mean, '--std': std }))
    if (list !== undefined && list.length !== 1 && list.length !== channels)
      throw new TierwiseError('USAGE', `${flag} has ${list.length} values for ${channels} channels`);
  // The flags are in the network's order, the bundle in that of the picture.
  const inOrder = (list: readonly number[]) => (flags.bgr ? list.toReversed() : [...list]);
  const given =
    mean || std || scale !== undefined
      ? { scale: scale ?? 1 / 255, mean: inOrder(mean ?? [0]), std: inOrder(std ?? [1]) }
      : undefined;
  terminal.progress('looking at some training samples with the network as it is');
  const trials = await tryNormalizations(backbone, data.train, { given, threads, signal });
  const [best, ...others] = trials;
  const shown = (values: Normalization) =>
    `--scale ${scaleText(values.scale)} --mean ${values.mean} --std ${values.std}`;
  terminal.note(
    `The network gets ${percent(best!.accuracy)} of ${best!.samples} training samples right with pixels ${given ? 'as given' : `as for ${best!.name} (${shown(best!.values)})`}`,
  );
  if (given === undefined)
    terminal.note(
      `  others: ${others.map(({ name, accuracy }) => `${name} ${percent(accuracy)}`).join(', ')}. Give its own with these flags where you know it`,
    );
  if (best!.accuracy < 0.5)
    terminal.note(
      '  That is little: check --mean, --std, --scale, --bgr and --classes if it was trained for such pictures',
    );
  return best!;
}

const scaleText = (scale: number) => (scale === 1 / 255 ? '1/255' : String(scale));

function settingsFor(
  backbone: ImportedBackbone,
  { train }: DatasetSplit,
  flags: AttachFlags,
  network: string,
): Omit<TrainingSettings, 'temperature'> {
  const { branchDepth: depth, branchWidth: width, branchStride: stride } = flags;
  const { recipe, design } = branchChoice(designFor(backbone, { depth, width, stride }), flags);
  const stemNumbers = backbone.stemDims.reduce((a, d) => a * d, 1);
  const { holdout, batch } = divided(train.samples, flags, {
    batch: usualBatch,
    holdout: Math.min(mostHeldBack, Math.floor(mostStemNumbers / stemNumbers)),
  });
  const { epochs, rate, progressive } = flags;
  if (progressive && flags.joint)
    throw new TierwiseError(
      'USAGE',
      '--progressive is for --freeze: a network from elsewhere takes pictures of one size',
    );
  const lessons = { samples: train.samples - holdout, batch };
  const phases = flags.joint
    ? [fineTuning({ epochs, peakRate: rate, ...lessons })]
    : branchPhases(recipe, { branchEpochs: epochs, branchRate: rate, progressive, ...lessons });
  return {
    network,
    data: train.name,
    samples: train.samples,
    holdout,
    batch,
    recipe,
    design,
    phases,
    augmentation: augmentationOf(flags, train.name),
    smoothing: flags.smoothing,
    ...teachingOf(flags, phases),
    seed: flags.seed,
  };
}

/** Adds `tierwise attach` and its options. */
export function addAttach(program: Command): void {
  withTrainingOptions(
    program
      .command('attach')
      .description('give your own image classifier a branch: from an ONNX file and pictures to a bundle')
      .argument('<file>', 'FILE.onnx; weights in files beside it are read with it')
      .requiredOption('--data <name|folder>', `${dataHelp}; all are resized to what the network takes`)
      .requiredOption('-o, --bundle <folder>', 'the bundle to write, NAME.tierwise')
      .option(
        '--at <node>',
        'node or tensor after which the branch leaves (default: the end of the first stage)',
      )
      .option('--output <name>', 'tensor with the scores, where the network has several outputs')
      .option(
        '--size <HxW>',
        'height and width of the pictures, where the network leaves them open',
        pictureSize,
      )
      .option(
        '--mean <list>',
        'pixels enter as (pixel * scale - mean) / std; one number, or one a channel',
        numbers(-1e6),
      )
      .option(
        '--std <list>',
        'default 1; without --mean, --std and --scale the usual ones are tried',
        numbers(1e-9),
      )
      .option('--scale <x>', 'of pixels 0 to 255 (default: 1/255)', fraction)
      .option('--bgr', 'the network takes blue first; --mean and --std are then in that order, too', false)
      .option(
        '--classes <file>',
        "names of the network's outputs, in order, a line each (default: those of the data)",
      )
      .option('--freeze', 'leave the network as it is and train the branch alone (default)')
      .addOption(
        new Option('--joint', 'train the network on, together with the branch: its answers change')
          .default(false)
          .conflicts('freeze'),
      )
      .option('--epochs <n>', 'passes over the training samples', whole(1), 12)
      .option('--batch <n>', 'samples in one step (default: 100, or an eighth of few samples)', whole(2))
      .option('--rate <x>', 'highest learning rate (default: 0.002, with --joint 0.001)', real(0, 10))
      .option('--branch-depth <n>', 'binary convolutions of the branch (default: 4)', whole(1))
      .option(
        '--branch-width <n>',
        'filters of its first one; they double where the map is halved (default: 64)',
        whole(1),
      )
      .option(
        '--holdout <n>',
        'training samples held back to choose the threshold (default: a fifth, at most 5000)',
        whole(1),
      ),
  ).action(
    handle((terminal, file: string, flags: AttachFlags) =>
      attachCommand(file, flags, terminal, untilCtrlC()),
    ),
  );
}
