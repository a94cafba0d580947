import type { BranchDesign, RecipeName } from '../recipes/index.ts';
import type { OptimizerName } from '../step/optimizer.ts';

/**
 * Orders of training. joint: all at once. main-first: stem and main network, then the branch by distillation. main-only: stem
 * and main network, no branch.
 */
export const schedules = ['joint', 'main-first', 'main-only'] as const;
/** The order in which main network and branch are trained. */
export type Schedule = (typeof schedules)[number];

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
  /** Sides of its pictures, or of a branch alone those of its stems, as a share of the network's own; absent: 1. */
  readonly side?: number;
  /** The learning rate's curve, where this phase is a part of it: its epochs before this phase, and all of them. */
  readonly curve?: { readonly before: number; readonly epochs: number };
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
  /** What a frozen network's scores are softened by where they are learnt to be matched; 4 for scores of a usual size. */
  readonly temperature: number;
  readonly augmentation: Augmentation;
  /** Share of a target that is spread over all classes alike (Szegedy et al. 2016); 0 leaves it at its class. */
  readonly smoothing: number;
  /**
   * The bundle whose main network teaches a network without a branch, which learns to match its scores; the digest is
   * that of the bundle's main network.
   */
  readonly studentOf?: { readonly bundle: string; readonly digest: string };
  /** int8: a frozen network's scores, which are learnt to be matched, are computed in 8 bits. Where absent, in float32. */
  readonly teacher?: 'int8';
  /**
   * How many epochs that a frozen network teaches have pictures of their own: then they come again as they were, and
   * what the network says of them is known. Where absent, all have.
   */
  readonly views?: number;
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
