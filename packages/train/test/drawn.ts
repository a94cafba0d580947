import { GraphBuilder } from '@tierwise/graph';
import { TrainingLayers } from '../src/layers/training.ts';
import type { Network } from '../src/networks/network.ts';
import { findRecipe } from '../src/recipes/index.ts';
import { startingValues } from '../src/start/drawn.ts';

/** What `network`'s main part and its mirror start with. */
export function drawnFor(network: Network) {
  const { channels, height, width } = network.input;
  const layers = new TrainingLayers(new GraphBuilder('drawn'));
  const stem = network.stem(layers, { value: 'pixels', dims: [1, channels, height, width] });
  network.main(layers, stem, 10);
  const branch = new TrainingLayers(new GraphBuilder('branch'));
  findRecipe('xnor')(branch, { value: 'stem', dims: stem.dims }, 10, network.mirror);
  return {
    main: startingValues(layers, 1),
    branch: startingValues(branch, 1, 'branch'),
    parameters: branch.parameters,
  };
}
