import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import type { DatasetSplit } from '@tierwise/data';
import {
  type Augmentation,
  augmentationFor,
  type BranchChoice,
  type BranchDesign,
  depthwiseDesign,
  type EpochRecord,
  type MakeOptions,
  makeComposite,
  type PhaseSettings,
  phaseName,
  recipeFor,
  recipes,
  runRecordFiles,
  type Trained,
  type TrainingProgress,
  type TrainingSettings,
  type TrainOptions,
  train,
  writeBundle,
  writePortableStep,
  writeRunRecord,
} from '@tierwise/train';
import { type Command, Option } from 'commander';
import { evaluationText } from './commands/eval.ts';
import { percent, secondsText, type Terminal } from './terminal.ts';
import { real, stride, whole } from './values.ts';

/** What every command that trains a branch takes. */
export interface TrainingFlags {
  readonly data: string;
  readonly recipe?: string;
  readonly batch?: number;
  readonly holdout?: number;
  readonly branchDepth?: number;
  readonly branchWidth?: number;
  readonly branchStride?: 1 | 2;
  readonly branchDepthwise: boolean;
  readonly shift?: number;
  readonly flip?: boolean;
  readonly cutout?: number;
  readonly smoothing: number;
  readonly teacher: 'float32' | 'int8';
  readonly views?: number;
  readonly progressive: boolean;
  readonly seed: number;
  readonly tolerance: number;
  readonly threads?: number;
  readonly checkpointSteps: number;
  readonly resume: boolean;
  /** Folder for the next phase as files, instead of training it here. */
  readonly exportStep?: string;
}

/**
 * `teacher` and `views` of the settings, where they are asked for.
 * @throws TierwiseError USAGE unless a frozen network teaches: another one, or that of a phase whose branch learns from it
 */
export function teachingOf(
  { teacher, views }: Pick<TrainingFlags, 'teacher' | 'views'>,
  phases: readonly PhaseSettings[],
  isStudent = false,
): Pick<TrainingSettings, 'teacher' | 'views'> {
  const asked = { ...(teacher === 'int8' && { teacher }), ...(views !== undefined && { views }) };
  const [flag] = Object.entries(asked).map(([name, value]) => `--${name} ${value}`);
  if (flag !== undefined && !isStudent && !phases.some(({ kind }) => kind === 'branch'))
    throw new TierwiseError(
      'USAGE',
      `${flag}: no network teaches here, as no branch is trained on a frozen one; it is for --schedule main-first, --student-of and attach --freeze`,
    );
  return asked;
}

/**
 * The branch of `design` that the flags ask for.
 * @throws TierwiseError USAGE where its recipe knows no depthwise layers, or is not there
 */
export function branchChoice(
  design: BranchDesign,
  flags: Pick<TrainingFlags, 'recipe' | 'branchDepthwise'>,
): BranchChoice {
  const recipe = recipeFor(design, flags.recipe);
  if (!flags.branchDepthwise) return { recipe, design };
  if (recipe !== 'modern')
    throw new TierwiseError('USAGE', `--branch-depthwise is for --recipe modern, not ${recipe}`);
  return { recipe, design: depthwiseDesign(design) };
}

/** @throws TierwiseError USAGE unless the name ends in .onnx */
export function networkFile(output: string): string {
  if (/[^/]\.onnx$/.test(output)) return output;
  throw new TierwiseError(
    'USAGE',
    `-o: a network without a branch is a file like lenet.onnx, not "${output}"`,
  );
}

/** @throws TierwiseError USAGE unless the name ends in .tierwise and can be a model's name */
export function bundleFolder(output: string): string {
  const folder = output.replace(/\/+$/, '');
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\.tierwise$/.test(basename(folder)))
    throw new TierwiseError(
      'USAGE',
      `-o must be a folder named like lenet.tierwise (letters, digits, ".", "_", "-"), not "${output}"${output.endsWith('.onnx') ? '; train --schedule main-only writes a network alone' : ''}`,
    );
  return folder;
}

/**
 * How many of the training samples are held back and how many make a batch, where no flag says so: a fifth, and an eighth
 * of the others, or what `usual` says where that is fewer.
 * @throws TierwiseError USAGE when that leaves no batch
 */
export function divided(
  samples: number,
  flags: TrainingFlags,
  usual: { readonly batch: number; readonly holdout: number },
): { holdout: number; batch: number } {
  const holdout = flags.holdout ?? Math.max(1, Math.min(usual.holdout, Math.floor(samples / 5)));
  const learnt = samples - holdout;
  const batch = flags.batch ?? Math.max(2, Math.min(usual.batch, Math.floor(learnt / 8)));
  if (learnt >= batch) return { holdout, batch };
  throw new TierwiseError(
    'USAGE',
    `--holdout ${holdout} leaves no batch of ${batch} among ${samples} samples`,
  );
}

export function augmentationOf(flags: TrainingFlags, data: string): Augmentation {
  const usual = augmentationFor(data);
  return {
    shift: flags.shift ?? usual.shift,
    flip: flags.flip ?? usual.flip,
    cutout: flags.cutout ?? usual.cutout,
  };
}

/** How a training of any kind is run: on how many threads, with its checkpoint beside its `output`, shown as it goes. */
export function trainingRun(output: string, flags: TrainingFlags, terminal: Terminal, signal: AbortSignal) {
  let last: TrainingProgress | undefined;
  return {
    threads: flags.threads ?? Math.min(4, availableParallelism()),
    checkpoint: `${output}.checkpoint.safetensors`,
    checkpointSteps: flags.checkpointSteps,
    resume: flags.resume,
    signal,
    async onEpoch(history: readonly EpochRecord[], settings: TrainingSettings) {
      if (last) terminal.note(progressText(last) + heldBackText(history.at(-1)?.heldBack));
      await writeRunRecord(output, settings, history);
    },
    onProgress(p: TrainingProgress) {
      last = p;
      terminal.progress(`${progressText(p)}  ${secondsText(p.secondsLeft)} left`);
    },
  };
}

function progressText(p: TrainingProgress): string {
  const heads = (['main', 'branch'] as const).flatMap((head) => {
    const [loss, accuracy] = [p.losses[head], p.accuracies[head]];
    return loss === undefined || accuracy === undefined
      ? []
      : [`${head}: loss ${loss.toFixed(4)}, accuracy ${percent(accuracy)}`];
  });
  return `${phaseName(p.phase, p.side)}  epoch ${p.epoch}/${p.epochs}  step ${p.step}/${p.steps}  ${heads.join('  ')}  ${p.samplesPerSecond.toFixed(0)} samples/s`;
}

/** `shares` of the samples held back that were right after an epoch. */
function heldBackText(shares: EpochRecord['heldBack'] = {}): string {
  const texts = Object.entries(shares).map(([head, share]) => `${head} ${percent(share)}`);
  return texts.length === 0 ? '' : `  of those held back: ${texts.join(', ')}`;
}

/**
 * Trains, and says that it is `what` it trains; or with --export-step writes the phase that comes next: then there is
 * nothing trained yet.
 */
export async function trainOrExport(
  { exportStep: folder }: TrainingFlags,
  what: string,
  options: TrainOptions,
  terminal: Terminal,
): Promise<Trained | undefined> {
  if (folder === undefined) {
    const { samples, name } = options.data;
    const { holdout } = options.settings;
    terminal.note(
      `Training ${what} on ${(samples - holdout).toLocaleString('en')} samples of ${name}, ${holdout.toLocaleString('en')} more held back; checkpoint ${options.checkpoint}`,
    );
    return train(options);
  }
  const { phase, step, steps, checkpoint } = await writePortableStep(folder, options);
  terminal.result(
    { folder, phase, step, steps, checkpoint },
    () =>
      `${steps - step} steps of the phase "${phase}" can be run anywhere from ${folder} and ${checkpoint}; docs/portable-step.md says how. The same command with --resume goes on from there, here or with --export-step.`,
  );
  return undefined;
}

/** Chooses codec and threshold of what was trained, measures it, writes the bundle and says so. */
export async function finishTraining(
  folder: string,
  data: DatasetSplit,
  history: readonly EpochRecord[],
  options: Omit<MakeOptions, 'name' | 'train' | 'test' | 'onProgress'>,
  terminal: Terminal,
): Promise<void> {
  const made = await makeComposite({
    ...options,
    name: basename(folder, '.tierwise'),
    train: data.train,
    test: data.test,
    onProgress: (stage, p) =>
      terminal.progress(`measuring on the ${stage} samples: ${p.done} of ${p.samples}`),
  });
  await writeBundle(folder, made);
  terminal.result(
    { bundle: folder, ...made.evaluation, history, warnings: data.warnings },
    () =>
      `${evaluationText(made.evaluation)}\nWritten to ${folder}; how the training went: ${runRecordFiles(folder).page}`,
  );
}

/** What `--recipe` takes. */
export const recipeHelp = `how the branch is built, one of: ${Object.keys(recipes).join(', ')} (default: modern where shortcuts can go around its convolutions, else xnor)`;

/** The options that all commands share which train a branch. */
export function withTrainingOptions(command: Command): Command {
  return command
    .option('--recipe <name>', recipeHelp)
    .option(
      '--shift <pixels>',
      'move training pictures by up to this (default: 4 for cifar-10, else 1)',
      whole(0),
    )
    .option('--flip', 'mirror training pictures at random (default for cifar-10 and fashion-mnist)')
    .option('--no-flip', 'do not')
    .option('--cutout <pixels>', 'blacken a square of this side (default: 8 for cifar-10, else 0)', whole(0))
    .addOption(
      new Option(
        '--teacher <type>',
        'how a frozen network computes the scores that its branch or student learns to match; int8 is faster on newer processors, and refused where it changes classes',
      )
        .choices(['float32', 'int8'])
        .default('float32'),
    )
    .option(
      '--branch-stride <n>',
      'of the first convolution of a branch with --branch-depth; 2 halves the map at once, cheaper on large or deep stems (default: 1)',
      stride,
    )
    .option(
      '--branch-depthwise',
      'with the modern recipe: each channel is convolved by itself, in 8 bits, and a binary 1x1 convolution mixes them; about half of the bytes, and less often right',
      false,
    )
    .option(
      '--views <n>',
      'the pictures that a frozen network teaches its branch or student with repeat after so many epochs, and what it says of them is computed once: faster where epochs are many (default: all epochs differ)',
      whole(1),
    )
    .option(
      '--progressive',
      'half of the epochs with pictures of half the height and width, a quarter with three quarters, which saves about two fifths of the time; for what averages its last map: the network, its branch, or both',
      false,
    )
    .option('--smoothing <share>', 'of each target, spread over all classes', real(0, 0.99), 0)
    .option('--seed <n>', 'of every random choice', whole(0), 1)
    .option(
      '--tolerance <share>',
      'accuracy that the threshold may cost on the held-back samples; packing the stem may cost twice that',
      real(0, 1),
      0.0003,
    )
    .option('--threads <n>', 'default: one per core, at most 4', whole(1))
    .option('--checkpoint-steps <n>', 'steps between two checkpoints', whole(1), 100)
    .option(
      '--resume',
      'go on from the checkpoint beside what is written; of a finished training, choose codec and threshold anew, as with another --tolerance',
      false,
    )
    .option(
      '--export-step <folder>',
      'write the phase that comes next as files, to be run by ONNX Runtime on another machine, instead of training it here',
    )
    .option('--json', 'print one JSON object');
}
