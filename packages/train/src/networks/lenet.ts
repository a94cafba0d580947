import { type BranchDesign, plainBlock } from '../recipes/design.ts';
import type { Network } from './network.ts';

/** A 5x5 convolution with a pool, as the main network's second, and one dense layer. */
const mirror = (filters: number, units: number): BranchDesign => ({
  blocks: [{ ...plainBlock, filters, kernel: 5, pad: 0, pool: true }],
  dense: [units],
});

/**
 * LeNet 20-50-500-10 (Caffe's, 431,080 weights without batch norm): LcDNN, Table 1.
 *
 * The stem is conv, pool, batch norm, ReLU; gamma > 0 lets pool go before batch norm, on a quarter of the work.
 */
export const lenet: Network = {
  name: 'lenet',
  input: { channels: 1, height: 28, width: 28 },
  stem(l, pixels) {
    const first = l.maxPool(l.pixelConv(pixels, 'stem.conv', { filters: 20, kernel: 5 }), 2);
    return l.relu(l.batchNorm(first, 'stem.norm'));
  },
  main(l, stem, classes) {
    let x = l.maxPool(l.conv(stem, 'main.conv2', { filters: 50, kernel: 5 }), 2);
    x = l.flatten(l.relu(l.batchNorm(x, 'main.norm2')));
    x = l.dense(l.dropout(x, 'main.drop2', 0.3), 'main.fc3', 500);
    x = l.relu(l.batchNorm(x, 'main.norm3'));
    return l.dense(l.dropout(x, 'main.drop3', 0.4), 'main.fc4', classes);
  },
  mirror: mirror(50, 500),
  training: { batch: 200, optimizer: 'adam', peakRate: 2e-3, weightDecay: 1e-4 },
};

/** A branch of less than 20,000 bytes: nearly all of lenet's is in its dense layer, so that one shrinks most. */
export const lenetSmall: Network = { ...lenet, name: 'lenet-small', mirror: mirror(56, 96) };
