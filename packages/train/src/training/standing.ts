/** Where a training stands before it goes on: what there is to learn from, and which step comes next. */
import { type Tensor, TierwiseError, tensor } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import { holdBack } from './batches.ts';
import { type Checkpoint, type EpochRecord, loadCheckpoint, loadMain, tensorIn } from './checkpoint.ts';
import type { PhaseOpener } from './phases.ts';
import { batchOf, type TrainingSettings } from './settings.ts';

/** Which samples are learnt from, and how many steps they make. */
export interface Lessons {
  readonly learnt: Uint32Array;
  readonly held: Uint32Array;
  /** Steps of an epoch, for each phase. */
  readonly stepsPerEpoch: readonly number[];
  /** Steps of each phase. */
  readonly steps: readonly number[];
}

/** @throws TierwiseError DATA_CORRUPT when there is one class only; USAGE when the samples are less than a batch */
export function lessonsOf({
  settings,
  data,
}: {
  readonly settings: TrainingSettings;
  readonly data: Dataset;
}): Lessons {
  const { train: learnt, held } = holdBack(data.samples, settings.holdout, settings.seed);
  const batches = settings.phases.map((phase) => batchOf(settings, phase));
  const stepsPerEpoch = batches.map((batch) => Math.floor(learnt.length / batch));
  const classes = new Set(learnt.map((sample) => data.labels[sample]!));
  if (classes.size < 2)
    throw new TierwiseError(
      'DATA_CORRUPT',
      `${data.name}: all ${learnt.length} samples to learn from are of one class, ${[...classes].map((c) => data.classes[c])}`,
      { data: data.name },
    );
  const batch = Math.max(...batches);
  if (learnt.length < batch)
    throw new TierwiseError(
      'USAGE',
      `${learnt.length} training samples, the held back ones aside, are less than a batch of ${batch}`,
      { samples: learnt.length, batch },
    );
  const steps = settings.phases.map(({ epochs }, i) => epochs * stepsPerEpoch[i]!);
  return { learnt, held, stepsPerEpoch, steps };
}

/** A phase under way. */
export interface Resumed {
  readonly step: number;
  readonly running: readonly number[];
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** Where a training goes on. */
export interface Standing {
  /** The phase under way, or the one that comes next; beyond the last when all are done. */
  readonly index: number;
  /** Absent where the phase begins. */
  readonly resumed?: Resumed;
  /** What earlier phases have trained. */
  readonly weights: Map<string, Float32Array>;
  readonly history: EpochRecord[];
}

/**
 * Where a training goes on: at its checkpoint, after the main network of another training, or at its start.
 * @throws TierwiseError USAGE | CHECKPOINT_INVALID | SAFETENSORS_CORRUPT | FILE_UNREADABLE
 */
export async function standingOf(
  options: {
    readonly settings: TrainingSettings;
    readonly checkpoint: string;
    readonly resume: boolean;
    readonly main?: string | undefined;
  },
  open: PhaseOpener,
  lessons: Lessons,
): Promise<Standing> {
  const { settings, main } = options;
  const mains = settings.phases.filter(({ kind }) => kind === 'main').length;
  if (main !== undefined && (mains === 0 || mains === settings.phases.length))
    throw new TierwiseError(
      'USAGE',
      'a trained main network is taken where it goes first and a branch follows',
    );
  const saved = options.resume ? await loadCheckpoint(options.checkpoint, settings) : undefined;
  if (saved) return afterCheckpoint(saved, options.checkpoint, settings, open, lessons);
  if (main === undefined) return { index: 0, weights: new Map(), history: [] };
  const { tensors, history } = await loadMain(main, settings);
  const weights = await trainedIn(settings, mains - 1, tensors, main, open);
  return { index: mains, weights, history: history.filter(({ phase }) => phase === 'main') };
}

async function afterCheckpoint(
  saved: Checkpoint,
  path: string,
  settings: TrainingSettings,
  open: PhaseOpener,
  lessons: Lessons,
): Promise<Standing> {
  const { phase: index, step, tensors } = saved;
  const history = [...saved.history];
  const weights = new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
  if (step < lessons.steps[index]!) return { index, resumed: saved, weights, history };
  for (const [name, values] of await trainedIn(settings, index, tensors, path, open, weights))
    weights.set(name, values);
  return { index: index + 1, weights, history };
}

/** What the phase `index` has left in `tensors`; what else of its state is in `weights` goes. */
async function trainedIn(
  settings: TrainingSettings,
  index: number,
  tensors: ReadonlyMap<string, Tensor>,
  path: string,
  open: PhaseOpener,
  weights: Map<string, Float32Array> = new Map(),
): Promise<Map<string, Float32Array>> {
  await using opened = await open(settings.phases[index]!, weights);
  const { parameters, statistics, state } = opened.step;
  for (const { name } of state) weights.delete(name);
  return new Map(
    [...parameters, ...statistics].map((part) => [part.name, tensorIn(tensors, part, path).data]),
  );
}

/** The weights that are no part of a phase's `state`, as a checkpoint holds them. */
export function untouched(
  weights: ReadonlyMap<string, Float32Array>,
  state: ReadonlyMap<string, unknown>,
): Map<string, Tensor> {
  const others = [...weights].filter(([name]) => !state.has(name));
  return new Map(others.map(([name, values]) => [name, tensor('float32', [values.length], values)]));
}
