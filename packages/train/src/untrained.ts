import { GraphBuilder } from '@tierwise/graph';
import { parameterStream } from './batches.ts';
import type { Weights } from './layers/inference.ts';
import { TrainingLayers } from './layers/training.ts';
import type { Network } from './networks/index.ts';

/**
 * Weights that `network` would start its training with: enough to measure sizes and speeds, and to count
 * parameters, but not to classify.
 */
export function untrainedWeights(network: Network, classes: number, seed: number): Weights {
  const layers = new TrainingLayers(new GraphBuilder(network.name));
  const { channels, height, width } = network.input;
  network.build(layers, { value: 'pixels', dims: [1, channels, height, width] }, classes);
  const weights = new Map<string, Float32Array>();
  for (const [i, parameter] of layers.parameters.entries())
    weights.set(parameter.name, parameter.init(parameterStream(seed, i)));
  for (const { name, dims, start } of layers.statistics)
    weights.set(name, new Float32Array(dims[0]!).fill(start));
  return weights;
}
