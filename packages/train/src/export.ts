import { GraphBuilder, type ModelProto } from '@tierwise/graph';
import { InferenceLayers, type Weights } from './layers/inference.ts';
import type { Network } from './networks/index.ts';

/** Names of the tensors that every exported composite has. */
export const ports = { input: 'pixels', stem: 'stem', main: 'scores', branch: 'branch_scores' } as const;

export interface Exported {
  /** Input `pixels` float32 [N, c, h, w], whole numbers 0..255; outputs `scores` and `branch_scores` [N, classes]. */
  readonly model: ModelProto;
  /** Shape of the tensor at the cut for one sample, [1, c, h, w]. */
  readonly stemDims: readonly number[];
}

/**
 * The composite as one ONNX graph with its weights inside: main network and branch share the stem, whose tensor is
 * named `stem`. `smallEnds` rounds the branch's last layers, dense weights to 8 bits and the rest to float16, so that
 * its file can hold them in a quarter and half of the bytes and compute the same.
 */
export function exportComposite(
  network: Network,
  weights: Weights,
  classes: number,
  options: { smallEnds: boolean },
): Exported {
  const b = new GraphBuilder(network.name);
  const { channels, height, width } = network.input;
  const value = b.input(ports.input, 'float32', ['N', channels, height, width]);
  const layers = new InferenceLayers(
    b,
    weights,
    (layer) => options.smallEnds && network.branchEnds.includes(layer),
  );
  const { stem } = network.build(layers, { value, dims: [1, channels, height, width] }, classes);
  b.output(ports.main, 'float32', ['N', classes]);
  b.output(ports.branch, 'float32', ['N', classes]);
  return { model: b.model, stemDims: stem.dims };
}
