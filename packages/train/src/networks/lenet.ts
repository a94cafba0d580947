import type { Network } from './network.ts';

/**
 * LeNet 20-50-500-10 (Caffe's, 431,080 weights without batch norm) as a composite: LcDNN, Table 1.
 *
 * The stem is conv, pool, batch norm, ReLU; gamma > 0 lets pool go before batch norm, on a quarter of the work.
 * The branch has the rest's layers in XNOR-Net's block order, batch norm -> sign -> convolution -> pool, with real
 * first and last layers and no ReLU after a binary convolution (XNOR-Net, ECCV 2016; authors' model file).
 * `filters` and `units` are the sizes of its binary convolution and dense layer.
 */
const lenetWith = (name: string, filters: number, units: number): Network => ({
  name,
  input: { channels: 1, height: 28, width: 28 },
  branchEnds: ['branch.norm3', 'branch.fc4'],
  build(l, pixels, classes) {
    const first = l.maxPool(l.pixelConv(pixels, 'stem.conv', { filters: 20, kernel: 5 }), 2);
    const stem = l.mark(l.relu(l.batchNorm(first, 'stem.norm')), 'stem');

    let x = l.maxPool(l.conv(stem, 'main.conv2', { filters: 50, kernel: 5 }), 2);
    x = l.flatten(l.relu(l.batchNorm(x, 'main.norm2')));
    x = l.dense(l.dropout(x, 'main.drop2', 0.3), 'main.fc3', 500);
    x = l.relu(l.batchNorm(x, 'main.norm3'));
    const main = l.mark(l.dense(l.dropout(x, 'main.drop3', 0.4), 'main.fc4', classes), 'scores');

    let y = l.sign(l.batchNorm(stem, 'branch.norm1'));
    y = l.maxPool(l.binaryConv(y, 'branch.conv2', { filters, kernel: 5 }), 2);
    y = l.flatten(l.sign(l.batchNorm(y, 'branch.norm2')));
    y = l.relu(l.batchNorm(l.binaryDense(y, 'branch.fc3', units), 'branch.norm3'));
    const branch = l.mark(l.dense(y, 'branch.fc4', classes), 'branch_scores');
    return { stem, main, branch };
  },
});

/** The branch mirrors the main network. */
export const lenet = lenetWith('lenet', 50, 500);

/** A branch of less than 20,000 bytes: nearly all of lenet's is in its dense layer, so that one shrinks most. */
export const lenetSmall = lenetWith('lenet-small', 56, 96);
