import type { Feature, Layers } from '../layers/layers.ts';
import type { Network } from './network.ts';

/** Filters of each stage; every stage has two blocks, and all but the first halve height and width. */
const stages = [64, 128, 256, 512] as const;

/**
 * ResNet-18 for 32 x 32 pictures (He et al. 2016, with the 3x3 stem used for CIFAR): 11,173,962 parameters for 10
 * classes. The branch mirrors the blocks: batch norm, sign, binary convolution, twice, added to a real-valued
 * shortcut; where a stage halves the map the shortcut is a binary 1x1 convolution of the same signs.
 */
export const resnet18: Network = {
  name: 'resnet18',
  input: { channels: 3, height: 32, width: 32 },
  branchEnds: ['branch.norm', 'branch.fc'],
  build(l, pixels, classes) {
    const stem = l.mark(
      l.relu(l.batchNorm(l.pixelConv(pixels, 'stem.conv', { filters: 64, kernel: 3, pad: 1 }), 'stem.norm')),
      'stem',
    );
    return {
      stem,
      main: l.mark(main(l, stem, classes), 'scores'),
      branch: l.mark(branch(l, stem, classes), 'branch_scores'),
    };
  },
};

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

function branch(l: Layers, stem: Feature, classes: number): Feature {
  const y = walk(stem, (input, number, filters, stride) => {
    const name = `branch.${number}`;
    const signs = l.sign(l.batchNorm(input, `${name}.norm1`));
    let x = l.binaryConv(signs, `${name}.conv1`, { filters, kernel: 3, stride, pad: 1 });
    x = l.binaryConv(l.sign(l.batchNorm(x, `${name}.norm2`)), `${name}.conv2`, {
      filters,
      kernel: 3,
      pad: 1,
    });
    const shortcut =
      stride === 1 ? input : l.binaryConv(signs, `${name}.down`, { filters, kernel: 1, stride });
    return l.add(x, shortcut);
  });
  return l.dense(l.globalAveragePool(l.relu(l.batchNorm(y, 'branch.norm'))), 'branch.fc', classes);
}
