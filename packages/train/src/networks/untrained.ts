import { GraphBuilder } from '@tierwise/graph';
import type { Weights } from '../layers/inference.ts';
import { TrainingLayers } from '../layers/training.ts';
import { type BranchChoice, findRecipe } from '../recipes/index.ts';
import { startingValues } from '../start/drawn.ts';
import { mirrorOf, type Network } from './network.ts';

/**
 * Weights that `network` would start its training with: enough to measure sizes and speeds, and to count
 * parameters, but not to classify. Without `branch` it mirrors the network.
 */
export function untrainedWeights(
  network: Network,
  classes: number,
  seed: number,
  branch: BranchChoice = mirrorOf(network),
): Weights {
  const layers = new TrainingLayers(new GraphBuilder(network.name));
  const { channels, height, width } = network.input;
  const stem = network.stem(layers, { value: 'pixels', dims: [1, channels, height, width] });
  network.main(layers, stem, classes);
  findRecipe(branch.recipe)(layers, stem, classes, branch.design);
  return startingValues(layers, seed);
}
