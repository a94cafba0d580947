import type { Network } from './networks/index.ts';
import type { OptimizerName } from './optimizer.ts';
import type { BranchChoice, BranchDesign, RecipeName } from './recipes/index.ts';

/**
 * What a phase of a training changes; all else is frozen.
 * joint: everything, on the sum of both losses. main: stem and main network. branch: the branch, on a frozen backbone
 * whose scores it also learns to match. branch-real: the same before its weights are binary; its activations are.
 */
export type PhaseKind = 'joint' | 'main' | 'branch-real' | 'branch';

/** One part of a training: what is trained, and how fast. */
export interface PhaseSettings {
  readonly kind: PhaseKind;
  readonly epochs: number;
  readonly optimizer: OptimizerName;
  /** The highest learning rate: `warmup` steps lead up to it, half a cosine down from it. */
  readonly peakRate: number;
  readonly warmup: number;
  readonly weightDecay: number;
  /** Samples in one step, where they are not as many as in the training's other phases. */
  readonly batch?: number;
}

/** Everything a training is determined by. A resumed training must have the same. */
export interface TrainingSettings {
  /** Name of the network, or of the backbone that a branch is trained on. */
  readonly network: string;
  readonly data: string;
  readonly samples: number;
  readonly holdout: number;
  readonly batch: number;
  readonly recipe: RecipeName;
  readonly design: BranchDesign;
  /** One after the other. */
  readonly phases: readonly PhaseSettings[];
  /** What the main network's scores are softened by where a branch learns to match them; 4 for scores of a usual size. */
  readonly temperature: number;
  readonly augmentation: Augmentation;
  /** Share of a target that is spread over all classes alike (Szegedy et al. 2016); 0 leaves it at its class. */
  readonly smoothing: number;
  /** int8: a frozen network's scores, which a branch learns to match, are computed in 8 bits. Where absent, in float32. */
  readonly teacher?: 'int8';
  /** Share of what enters a dense layer that is set to 0 at random; where it is absent, the network's own. */
  readonly dropout?: number;
  readonly seed: number;
}

/** What is done to training pictures at random, anew in each epoch. */
export interface Augmentation {
  /** Largest shift in pixels, each way; black comes in from outside: a crop of the padded picture. */
  readonly shift: number;
  /** Whether half of them are mirrored. */
  readonly flip: boolean;
  /** Side in pixels of a square that is blackened, of which any part may lie outside (DeVries and Taylor 2017); 0: none. */
  readonly cutout: number;
}

/** Samples in one step of a phase. */
export const batchOf = (
  { batch }: Pick<TrainingSettings, 'batch'>,
  phase: Pick<PhaseSettings, 'batch'>,
): number => phase.batch ?? batch;

/** What suits a data set: `name` is one that is known by name, or anything else. */
export function augmentationFor(name: string): Augmentation {
  if (name === 'cifar-10') return { shift: 4, flip: true, cutout: 8 };
  return { shift: 1, flip: name === 'fashion-mnist', cutout: 0 };
}

/** Orders of training. joint: all at once. main-first: stem and main network, then the branch by distillation. */
export const schedules = ['joint', 'main-first'] as const;
/** The order in which main network and branch are trained. */
export type Schedule = (typeof schedules)[number];

/** What a schedule is made with; what is left out is the network's own. */
export interface ScheduleOptions {
  /** Of the joint phase, or of stem and main network. */
  readonly epochs: number;
  readonly optimizer?: OptimizerName | undefined;
  readonly peakRate?: number | undefined;
  readonly branchEpochs: number;
  readonly branchRate?: number | undefined;
  /** Samples in a step of the branch's phases, where they are not `batch`. */
  readonly branchBatch?: number | undefined;
  /** Samples that are learnt from, and in one step: a warm-up takes at most a fifth of its phase. */
  readonly samples: number;
  readonly batch: number;
}

const longestWarmup = 200;
const defaultBranchRate = 2e-3;
const defaultFineRate = 1e-3;

const warmup = (epochs: number, { samples, batch }: Pick<ScheduleOptions, 'samples' | 'batch'>) =>
  Math.max(1, Math.min(longestWarmup, Math.floor((epochs * Math.floor(samples / batch)) / 5)));

function withAdam(
  kind: PhaseKind,
  how: Pick<ScheduleOptions, 'epochs' | 'samples' | 'batch'> & { readonly peakRate: number },
): PhaseSettings {
  const { epochs, peakRate } = how;
  return {
    kind,
    epochs,
    optimizer: 'adam',
    peakRate,
    warmup: warmup(epochs, how),
    weightDecay: 1e-4,
  };
}

/**
 * The phases that train a branch on a frozen backbone: Adam, as binary networks are trained throughout. A modern branch
 * has real weights for the first half of its epochs (Martinez et al., ICLR 2020).
 */
export function branchPhases(
  recipe: RecipeName,
  options: Omit<ScheduleOptions, 'epochs' | 'optimizer' | 'peakRate'>,
): PhaseSettings[] {
  const { branchEpochs, branchRate = defaultBranchRate, branchBatch, samples } = options;
  const batch = branchBatch ?? options.batch;
  const phase = (kind: PhaseKind, epochs: number): PhaseSettings => ({
    ...withAdam(kind, { epochs, peakRate: branchRate, samples, batch }),
    ...(batch === options.batch ? {} : { batch }),
  });
  const withRealWeights = recipe === 'modern' ? Math.floor(branchEpochs / 2) : 0;
  return [
    ...(withRealWeights > 0 ? [phase('branch-real', withRealWeights)] : []),
    phase('branch', branchEpochs - withRealWeights),
  ];
}

/** The phase that trains a backbone together with its branch. Its rate is small: the backbone is trained already. */
export function fineTuning(
  options: Pick<ScheduleOptions, 'epochs' | 'peakRate' | 'samples' | 'batch'>,
): PhaseSettings {
  const { peakRate = defaultFineRate } = options;
  return withAdam('joint', { ...options, peakRate });
}

/** The phases of `schedule` for `network`. */
export function phasesOf(
  network: Network,
  schedule: Schedule,
  recipe: RecipeName,
  options: ScheduleOptions,
): PhaseSettings[] {
  const { optimizer, peakRate, epochs } = options;
  const own = network.training;
  // A joint phase trains binary layers too, for which Adam is the rule.
  const usual =
    schedule === 'joint' ? ({ optimizer: 'adam', peakRate: 2e-3, weightDecay: 1e-4 } as const) : own;
  const chosen = optimizer ?? usual.optimizer;
  const first: PhaseSettings = {
    kind: schedule === 'joint' ? 'joint' : 'main',
    epochs,
    optimizer: chosen,
    peakRate: peakRate ?? (chosen === usual.optimizer ? usual.peakRate : chosen === 'adam' ? 2e-3 : 0.1),
    warmup: warmup(epochs, options),
    weightDecay: chosen === usual.optimizer ? usual.weightDecay : chosen === 'adam' ? 1e-4 : 5e-3,
  };
  return schedule === 'joint' ? [first] : [first, ...branchPhases(recipe, options)];
}

/** The branch that repeats `network`'s layers. */
export function mirrorOf(network: Network, recipe: RecipeName = 'xnor'): BranchChoice {
  return { recipe, design: network.mirror };
}
