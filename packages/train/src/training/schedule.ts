import type { Network } from '../networks/index.ts';
import type { RecipeName } from '../recipes/index.ts';
import type { OptimizerName } from '../step/optimizer.ts';
import { type AnySize, progressive } from './progressive.ts';
import type { PhaseKind, PhaseSettings, Schedule } from './settings.ts';

/**
 * Learning rate at `step` (from 0) of `steps`: linear warm-up over `warmup` steps, then half a cosine down to 0
 * (Loshchilov and Hutter 2017, SGDR, one period).
 */
export function cosineRate(peak: number, step: number, steps: number, warmup: number): number {
  if (step < warmup) return (peak * (step + 1)) / warmup;
  return (peak / 2) * (1 + Math.cos((Math.PI * (step - warmup)) / Math.max(1, steps - warmup)));
}

/** Learning rate of a phase at its `step`, from 0, of `stepsPerEpoch` an epoch. */
export function rateOf(
  { peakRate, warmup, curve, epochs }: Pick<PhaseSettings, 'peakRate' | 'warmup' | 'curve' | 'epochs'>,
  step: number,
  stepsPerEpoch: number,
): number {
  const before = (curve?.before ?? 0) * stepsPerEpoch;
  return cosineRate(peakRate, before + step, (curve?.epochs ?? epochs) * stepsPerEpoch, warmup);
}

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
  /** Which phases have small pictures at first, see progressive.ts. */
  readonly progressive?: AnySize | undefined;
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
  options: Omit<ScheduleOptions, 'epochs' | 'optimizer' | 'peakRate' | 'progressive'> & {
    readonly progressive?: boolean | undefined;
  },
): PhaseSettings[] {
  const { branchEpochs, branchRate = defaultBranchRate, branchBatch, samples } = options;
  const batch = branchBatch ?? options.batch;
  const phase = (kind: PhaseKind, epochs: number): PhaseSettings => ({
    ...withAdam(kind, { epochs, peakRate: branchRate, samples, batch }),
    ...(batch === options.batch ? {} : { batch }),
  });
  const withRealWeights = recipe === 'modern' ? Math.floor(branchEpochs / 2) : 0;
  const phases = [
    ...(withRealWeights > 0 ? [phase('branch-real', withRealWeights)] : []),
    phase('branch', branchEpochs - withRealWeights),
  ];
  return options.progressive ? progressive(phases) : phases;
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
  const small = options.progressive;
  const firsts = small?.main ? progressive([first]) : [first];
  if (schedule !== 'main-first') return firsts;
  return [...firsts, ...branchPhases(recipe, { ...options, progressive: small?.branch })];
}
