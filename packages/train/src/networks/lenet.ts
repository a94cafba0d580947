import { type BranchDesign, plainBlock } from '../recipes/design.ts';
import type { Network } from './network.ts';

/** A 5x5 convolution with a pool, as the main network's second, and one dense layer. */
const mirror = (filters: number, units: number): BranchDesign => ({
  blocks: [{ ...plainBlock, filters, kernel: 5, pad: 0, pool: true }],
  dense: [units],
});

/** Two convolutions and a hidden dense layer of these widths; `dropout` are the rates before the dense layers. */
function lenetOf(
  name: string,
  [first, second, hidden]: readonly [number, number, number],
  [early, late]: readonly [number, number],
): Network {
  return {
    name,
    input: { channels: 1, height: 28, width: 28 },
    stem(l, pixels) {
      const x = l.maxPool(l.pixelConv(pixels, 'stem.conv', { filters: first, kernel: 5 }), 2);
      return l.relu(l.batchNorm(x, 'stem.norm'));
    },
    main(l, stem, classes) {
      let x = l.maxPool(l.conv(stem, 'main.conv2', { filters: second, kernel: 5 }), 2);
      x = l.flatten(l.relu(l.batchNorm(x, 'main.norm2')));
      x = l.dense(l.dropout(x, 'main.drop2', early), 'main.fc3', hidden);
      x = l.relu(l.batchNorm(x, 'main.norm3'));
      return l.dense(l.dropout(x, 'main.drop3', late), 'main.fc4', classes);
    },
    mirror: mirror(second, hidden),
    training: { batch: 200, optimizer: 'adam', peakRate: 2e-3, weightDecay: 1e-4 },
  };
}

/**
 * LeNet 20-50-500-10 (Caffe's, 431,080 weights without batch norm): LcDNN, Table 1.
 *
 * The stem is conv, pool, batch norm, ReLU; gamma > 0 lets pool go before batch norm, on a quarter of the work.
 */
export const lenet = lenetOf('lenet', [20, 50, 500], [0.3, 0.4]);

/** A branch of less than 20,000 bytes: nearly all of lenet's is in its dense layer, so that one shrinks most. */
export const lenetSmall: Network = { ...lenet, name: 'lenet-small', mirror: mirror(56, 96) };

/** LeNet 6-12-72: about the bytes of lenet's branch, in float32. It is too small to be helped by dropout. */
export const lenetNarrow = lenetOf('lenet-narrow', [6, 12, 72], [0, 0]);
