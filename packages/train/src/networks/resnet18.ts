import type { Feature, Layers } from '../layers/layers.ts';
import { plainBlock } from '../recipes/design.ts';
import { type Network, sgdTraining } from './network.ts';

/** Filters of each stage; every stage has two blocks, and all but the first halve height and width. */
const stages = [64, 128, 256, 512] as const;

/** Calls `block` for each of the eight blocks; `stride` is 2 where the map is halved. */
function walk(
  x: Feature,
  block: (x: Feature, name: string, filters: number, stride: 1 | 2) => Feature,
): Feature {
  let y = x;
  for (const [stage, filters] of stages.entries())
    for (const part of [1, 2]) y = block(y, `${stage + 1}.${part}`, filters, stage > 0 && part === 1 ? 2 : 1);
  return y;
}

function main(l: Layers, stem: Feature, classes: number): Feature {
  const x = walk(stem, (input, number, filters, stride) => {
    const name = `main.${number}`;
    let y = l.relu(
      l.batchNorm(l.conv(input, `${name}.conv1`, { filters, kernel: 3, stride, pad: 1 }), `${name}.norm1`),
    );
    y = l.batchNorm(l.conv(y, `${name}.conv2`, { filters, kernel: 3, pad: 1 }), `${name}.norm2`);
    const shortcut =
      stride === 1
        ? input
        : l.batchNorm(l.conv(input, `${name}.down`, { filters, kernel: 1, stride }), `${name}.norm3`);
    return l.relu(l.add(y, shortcut));
  });
  return l.dense(l.globalAveragePool(x), 'main.fc', classes);
}

/**
 * ResNet-18 for 32 x 32 pictures (He et al. 2016, with the 3x3 stem used for CIFAR): 11,173,962 parameters for 10
 * classes. The branch mirrors the blocks.
 */
export const resnet18: Network = {
  name: 'resnet18',
  input: { channels: 3, height: 32, width: 32 },
  stem: (l, pixels) =>
    l.relu(l.batchNorm(l.pixelConv(pixels, 'stem.conv', { filters: 64, kernel: 3, pad: 1 }), 'stem.norm')),
  main,
  mirror: {
    blocks: stages.flatMap((filters, stage) =>
      [1, 2].map((part) => ({
        ...plainBlock,
        filters,
        stride: stage > 0 && part === 1 ? (2 as const) : (1 as const),
        convs: 2 as const,
        shortcut: true,
      })),
    ),
    dense: [],
  },
  training: sgdTraining,
};
