import type { Feature, Layers } from '../layers/layers.ts';
import { plainBlock } from '../recipes/design.ts';
import { type Network, sgdTraining } from './network.ts';

/** Filters of the convolutions after the stem, stage by stage; a pool of 2 ends a stage. */
const stages = [[64], [128, 128], [256, 256, 256], [512, 512, 512], [512, 512, 512]] as const;

function main(l: Layers, stem: Feature, classes: number): Feature {
  let x = stem;
  let number = 2;
  for (const stage of stages) {
    for (const filters of stage)
      x = l.relu(l.conv(x, `main.conv${number++}`, { filters, kernel: 3, pad: 1, bias: 'norm' }));
    x = l.maxPool(x, 2);
  }
  x = l.dropout(l.flatten(x), 'main.drop14', 0.5);
  x = l.dropout(l.relu(l.dense(x, 'main.fc14', 512, 'norm')), 'main.drop15', 0.5);
  return l.dense(l.relu(l.dense(x, 'main.fc15', 512, 'norm')), 'main.fc16', classes);
}

/**
 * VGG16 for 32 x 32 pictures: thirteen 3x3 convolutions without batch norm and dense layers 512-512-C (59,551 KiB
 * of float32 for 10 classes; systems.md section 6.7 point 2). The first convolution is the stem.
 */
export const vgg16: Network = {
  name: 'vgg16',
  input: { channels: 3, height: 32, width: 32 },
  stem: (l, pixels) =>
    l.relu(l.pixelConv(pixels, 'stem.conv', { filters: 64, kernel: 3, pad: 1, bias: 'norm' })),
  main,
  mirror: {
    blocks: stages.flatMap((stage) =>
      stage.map((filters, i) => ({ ...plainBlock, filters, pool: i === stage.length - 1 })),
    ),
    dense: [512, 512],
  },
  // As AlexNet. After 3 epochs on 3,000 pictures it got 32 % of the others right, without batch norms, by Adam, 27 %.
  training: { ...sgdTraining, peakRate: 0.03 },
};
