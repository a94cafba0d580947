import type { Feature, Layers } from '../layers/layers.ts';
import type { Network } from './network.ts';

/** Filters of the convolutions of each stage; a pool of 2 ends a stage. The first convolution is the stem. */
const stages = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
] as const;

/**
 * VGG16 for 32 x 32 pictures: thirteen 3x3 convolutions without batch norm and dense layers 512-512-C (59,551 KiB
 * of float32 for 10 classes; systems.md section 6.7 point 2). The branch mirrors the rest.
 */
export const vgg16: Network = {
  name: 'vgg16',
  input: { channels: 3, height: 32, width: 32 },
  branchEnds: ['branch.norm16', 'branch.fc16'],
  build(l, pixels, classes) {
    const stem = l.mark(
      l.relu(l.pixelConv(pixels, 'stem.conv', { filters: 64, kernel: 3, pad: 1, bias: true })),
      'stem',
    );
    return {
      stem,
      main: l.mark(main(l, stem, classes), 'scores'),
      branch: l.mark(branch(l, stem, classes), 'branch_scores'),
    };
  },
};

/** Calls `layer` for each convolution after the stem, numbered from 2, and `pool` at each stage's end. */
function walk(
  x: Feature,
  layer: (x: Feature, number: number, filters: number) => Feature,
  pool: (x: Feature) => Feature,
): Feature {
  let y = x;
  let number = 1;
  for (const stage of stages) {
    for (const filters of stage) {
      if (number > 1) y = layer(y, number, filters);
      number++;
    }
    y = pool(y);
  }
  return y;
}

function main(l: Layers, stem: Feature, classes: number): Feature {
  const pooled = walk(
    stem,
    (x, n, filters) => l.relu(l.conv(x, `main.conv${n}`, { filters, kernel: 3, pad: 1, bias: true })),
    (x) => l.maxPool(x, 2),
  );
  let x = l.dropout(l.flatten(pooled), 'main.drop14', 0.5);
  x = l.dropout(l.relu(l.dense(x, 'main.fc14', 512)), 'main.drop15', 0.5);
  return l.dense(l.relu(l.dense(x, 'main.fc15', 512)), 'main.fc16', classes);
}

function branch(l: Layers, stem: Feature, classes: number): Feature {
  const pooled = walk(
    stem,
    (y, n, filters) =>
      l.binaryConv(l.sign(l.batchNorm(y, `branch.norm${n}`)), `branch.conv${n}`, {
        filters,
        kernel: 3,
        pad: 1,
      }),
    (y) => l.maxPool(y, 2),
  );
  let y = l.binaryDense(l.flatten(l.sign(l.batchNorm(pooled, 'branch.norm14'))), 'branch.fc14', 512);
  y = l.binaryDense(l.sign(l.batchNorm(y, 'branch.norm15')), 'branch.fc15', 512);
  return l.dense(l.relu(l.batchNorm(y, 'branch.norm16')), 'branch.fc16', classes);
}
