import type { Feature, Layers } from '../layers/layers.ts';
import { plainBlock } from '../recipes/design.ts';
import { type Network, sgdTraining } from './network.ts';

/** Filters of convolutions 2 to 5, and whether a pool of 2 follows. */
const stages = [
  [192, true],
  [384, false],
  [256, false],
  [256, true],
] as const;

function main(l: Layers, stem: Feature, classes: number): Feature {
  let x = stem;
  for (const [i, [filters, pooled]] of stages.entries()) {
    x = l.relu(l.conv(x, `main.conv${i + 2}`, { filters, kernel: 3, pad: 1, bias: 'norm' }));
    if (pooled) x = l.maxPool(x, 2);
  }
  x = l.dropout(l.flatten(x), 'main.drop6', 0.5);
  x = l.dropout(l.relu(l.dense(x, 'main.fc6', 4096, 'norm')), 'main.drop7', 0.5);
  return l.dense(l.relu(l.dense(x, 'main.fc7', 4096, 'norm')), 'main.fc8', classes);
}

/**
 * AlexNet for 32 x 32 pictures: convolutions 64 (3x3, stride 2), 192, 384, 256, 256 (3x3), pool 2 after 1, 2 and 5,
 * dense 1024-4096-4096-C; 23,272,266 parameters for 10 classes. These are the sizes behind LcDNN's Table 1
 * (systems.md section 6.7 point 1).
 */
export const alexnet: Network = {
  name: 'alexnet',
  input: { channels: 3, height: 32, width: 32 },
  stem(l, pixels) {
    const first = l.pixelConv(pixels, 'stem.conv', {
      filters: 64,
      kernel: 3,
      stride: 2,
      pad: 1,
      bias: 'norm',
    });
    return l.relu(l.maxPool(first, 2));
  },
  main,
  mirror: {
    blocks: stages.map(([filters, pool]) => ({ ...plainBlock, filters, pool })),
    dense: [4096, 4096],
  },
  // With rates of 0.1, 0.03 and 0.01 three epochs on 18,000 pictures got 44, 57 and 56 % of the test pictures right.
  training: { ...sgdTraining, peakRate: 0.02 },
};
