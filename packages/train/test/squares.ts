import { tensor } from '@tierwise/core';
import { GraphBuilder, type ModelProto, type Value, writeOnnx } from '@tierwise/graph';

/** How an exporter wrote the network below. */
export interface Export {
  readonly layout?: 'nhwc';
  /** A batch of so many, fixed; open by default. */
  readonly batch?: number;
  readonly softmax?: boolean;
  /** Two convolutions side by side, concatenated, as in a fire module. */
  readonly fire?: boolean;
  /** Output i is class `order[i]` of the data. */
  readonly order?: readonly number[];
  /** A batch norm after the first convolution, which changes nothing. */
  readonly norm?: boolean;
  /** What ends the first stage; ReLU by default. */
  readonly activation?: string;
}

/**
 * A network that tells the pictures of `tinyData` apart without any training: two blurring filters, then how bright each
 * class's place is. It wants pixels as 0 to 1; the picture's mean is taken off, so brighter or darker ones do as well.
 */
export function squaresNetwork(options: Export = {}): Uint8Array {
  const { layout, batch, softmax, fire, order, norm, activation = 'Relu' } = options;
  const b = new GraphBuilder('squares');
  const n = batch ?? 'n';
  const constant = (name: string, dims: readonly number[], values: ArrayLike<number>) =>
    b.initializer(name, tensor('float32', dims, Float32Array.from(values)));
  const picture = b.input('picture', 'float32', layout === 'nhwc' ? [n, 28, 28, 1] : [n, 1, 28, 28]);
  let x: Value = layout === 'nhwc' ? b.transpose(picture, [0, 3, 1, 2]) : picture;
  const blur = [...new Array<number>(9).fill(1 / 9), 0, 0, 0, 0, 1, 0, 0, 0, 0];
  const conv = (from: Value, name: string, filters: number, channels: number, values: ArrayLike<number>) =>
    b.op(
      'Conv',
      [from, constant(name, [filters, channels, 3, 3], values)],
      { pads: [1, 1, 1, 1] },
      `${name}.out`,
    );
  x = conv(x, 'stem', 2, 1, blur);
  if (norm) {
    const parts = Object.entries({ scale: 1, shift: 0, mean: 0, variance: 1 - 1e-5 });
    const stored = parts.map(([name, value]) => constant(name, [2], [value, value]));
    x = b.op('BatchNormalization', [x, ...stored]);
  }
  x = b.op(activation, [x], {}, 'stage');
  x = b.op('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] }, 'pooled');
  if (fire) {
    const keep = (channel: number) => Array.from({ length: 18 }, (_, i) => Number(i === channel * 9 + 4));
    x = b.concat([conv(x, 'left', 1, 2, keep(0)), conv(x, 'right', 1, 2, keep(1))], 1);
  }
  x = batch === undefined ? b.op('Flatten', [x], { axis: 1 }) : b.reshape(x, [batch, 392]);
  const templates = Array.from({ length: 10 }, (_, output) => {
    const label = order?.[output] ?? output;
    const [top, left] = [4 + 12 * Math.floor(label / 5), 1 + 5 * (label % 5)];
    return Array.from({ length: 392 }, (_, i) => {
      const [y, column] = [2 * Math.floor((i % 196) / 14), 2 * (i % 14)];
      return y >= top && y < top + 8 && column >= left && column < left + 5 ? 0.3 : -0.02;
    });
  });
  x = b.gemm(x, constant('templates', [10, 392], templates.flat()), { transB: 1 }, 'logits');
  if (softmax) x = b.op('Softmax', [x], { axis: 1 }, 'probability');
  b.output(x, 'float32', [n, 10]);
  return writeOnnx(b.model satisfies ModelProto);
}
