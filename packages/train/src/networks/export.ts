import type { PreprocessSpec } from '@tierwise/core';
import { GraphBuilder, type ModelProto } from '@tierwise/graph';
import { InferenceLayers, type Weights } from '../layers/inference.ts';
import { shrunk } from '../layers/shrink.ts';
import { TrainingLayers } from '../layers/training.ts';
import { type BranchChoice, findRecipe } from '../recipes/index.ts';
import { mirrorOf, type Network } from './network.ts';

/** Names of the tensors that every exported composite has. */
export const ports = { input: 'pixels', stem: 'stem', main: 'scores', branch: 'branch_scores' } as const;

/** Our networks take pixels as they are: whole numbers 0..255. */
export function pixelPreprocess({ input }: Network): PreprocessSpec {
  return { ...input, scale: 1, mean: [0], std: [1] };
}

/** Shape of the tensor at `network`'s cut for one sample, [1, c, h, w]. */
export function stemDimsOf(network: Network): readonly number[] {
  const layers = new TrainingLayers(new GraphBuilder(network.name));
  const { channels, height, width } = network.input;
  return network.stem(layers, { value: 'pixels', dims: [1, channels, height, width] }).dims;
}

export interface Exported {
  /** Input `pixels` float32 [N, c, h, w], whole numbers 0..255; output `scores` [N, classes]. */
  readonly model: ModelProto;
  /** Shape of the tensor at the cut for one sample, [1, c, h, w]. */
  readonly stemDims: readonly number[];
}

/**
 * Stem and main network as one ONNX graph with the weights inside. The stem's tensor is named `stem`. With `side` the
 * pictures are first made smaller, to that share of their sides.
 */
export function exportMain(network: Network, weights: Weights, classes: number, side = 1): Exported {
  const b = new GraphBuilder(network.name);
  const { channels, height, width } = network.input;
  const value = b.input(ports.input, 'float32', ['N', channels, height, width]);
  const layers = new InferenceLayers(b, weights);
  const pixels = shrunk(b, { value, dims: [1, channels, height, width] }, side);
  const stem = layers.mark(network.stem(layers, pixels), ports.stem);
  layers.mark(network.main(layers, stem, classes), ports.main);
  b.output(ports.main, 'float32', ['N', classes]);
  return { model: b.model, stemDims: stem.dims };
}

export interface AddBranchOptions {
  /** The tensor that the branch takes, [1, c, h, w]. */
  readonly stem: { readonly tensor: string; readonly dims: readonly number[] };
  readonly classes: number;
  /**
   * Rounds the branch's last layers, dense weights to 8 bits and the rest to float16, so that its file can hold them
   * in a quarter and half of the bytes and compute the same.
   */
  readonly smallEnds: boolean;
  /** Share of the stem's sides that the branch sees it at. Default 1. */
  readonly side?: number;
}

/** Writes a trained branch into `model`, which is changed: output `branch_scores` [N, classes]. */
export function addBranch(
  model: ModelProto,
  branch: BranchChoice,
  weights: Weights,
  options: AddBranchOptions,
): void {
  const { tensor: value, dims } = options.stem;
  const write = (b: GraphBuilder, layers: InferenceLayers) => {
    const stem = shrunk(b, { value, dims }, options.side ?? 1);
    return findRecipe(branch.recipe)(layers, stem, options.classes, branch.design);
  };
  let smallAfter = Number.POSITIVE_INFINITY;
  if (options.smallEnds) {
    const aside = new GraphBuilder('trial');
    const trial = new InferenceLayers(aside, weights);
    write(aside, trial);
    smallAfter = trial.signs;
  }
  const b = new GraphBuilder(model);
  const layers = new InferenceLayers(b, weights, { smallAfter });
  layers.mark(write(b, layers), ports.branch);
  b.output(ports.branch, 'float32', ['N', options.classes]);
}

/**
 * The composite as one ONNX graph: main network and branch share the stem. Without `branch` it mirrors the network; with
 * `side` it sees pictures at that share of their sides.
 */
export function exportComposite(
  network: Network,
  weights: Weights,
  classes: number,
  options: { readonly smallEnds: boolean; readonly branch?: BranchChoice; readonly side?: number },
): Exported {
  const exported = exportMain(network, weights, classes, options.side);
  const stem = { tensor: ports.stem, dims: exported.stemDims };
  addBranch(exported.model, options.branch ?? mirrorOf(network), weights, {
    stem,
    classes,
    smallEnds: options.smallEnds,
  });
  return exported;
}
