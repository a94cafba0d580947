import type { Feature, Layers } from '../layers/layers.ts';
import type { BranchChoice, BranchDesign, RecipeName } from '../recipes/index.ts';
import type { OptimizerName } from '../step/optimizer.ts';

/** A network that can be trained from scratch, in the two parts between which a branch leaves it. */
export interface Network {
  readonly name: string;
  /** Size of the pictures it takes. */
  readonly input: { readonly channels: 1 | 3; readonly height: number; readonly width: number };
  /** From the pixels to the tensor at the cut. */
  stem(layers: Layers, pixels: Feature): Feature;
  /** From there to the scores. */
  main(layers: Layers, stem: Feature, classes: number): Feature;
  /** The branch that repeats the main network's layers. */
  readonly mirror: BranchDesign;
  /** How it is trained unless a user says otherwise. */
  readonly training: {
    readonly batch: number;
    readonly optimizer: OptimizerName;
    readonly peakRate: number;
    readonly weightDecay: number;
  };
}

/**
 * For networks on CIFAR with batch norm: SGD as He et al. 2016 use it. The decay is decoupled, so with momentum 0.9
 * it is ten times their 5e-4 for the same pull.
 */
export const sgdTraining = { batch: 128, optimizer: 'sgd', peakRate: 0.1, weightDecay: 5e-3 } as const;

/** The branch that repeats `network`'s layers. */
export function mirrorOf(network: Network, recipe: RecipeName = 'xnor'): BranchChoice {
  return { recipe, design: network.mirror };
}
