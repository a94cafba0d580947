import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import { offer } from './offer.ts';
import { startTfjs } from './tfjs.ts';

export interface TrainInput {
  readonly batch: number;
  readonly runs: number;
}

interface Norm {
  readonly gamma: tf.Tensor;
  readonly beta: tf.Tensor;
}

/** Batch norm with the batch's own mean and variance. */
function normalized(x: tf.Tensor, { gamma, beta }: Norm): tf.Tensor {
  const { mean, variance } = tf.moments(
    x,
    x.shape.map((_, i) => i).filter((i) => i !== x.shape.length - 1),
  );
  const scale = tf.div(gamma, tf.sqrt(tf.add(variance, 1e-5)));
  return tf.add(tf.mul(tf.sub(x, mean), scale), beta);
}

const convolve = tf.customGrad((...args) => {
  const [x, w, save] = args as unknown as [tf.Tensor4D, tf.Tensor4D, (tensors: tf.Tensor[]) => void];
  save([x, w]);
  return {
    value: tf.conv2d(x, w, 1, 'valid'),
    gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [input, weights] = saved as [tf.Tensor4D, tf.Tensor4D];
      const dx = tf.conv2dTranspose(dy as tf.Tensor4D, weights, input.shape, 1, 'valid');
      const turned = tf.transpose(input, [3, 1, 2, 0]) as tf.Tensor4D;
      const dw = tf.conv2d(turned, tf.transpose(dy, [1, 2, 0, 3]) as tf.Tensor4D, 1, 'valid');
      return [dx, tf.transpose(dw, [1, 2, 0, 3])];
    },
  };
}) as (x: tf.Tensor4D, w: tf.Tensor4D) => tf.Tensor4D;

/** Max pool of 2. */
const pool = tf.customGrad((...args) => {
  const [x, save] = args as unknown as [tf.Tensor4D, (tensors: tf.Tensor[]) => void];
  const y = tf.maxPool(x, 2, 2, 'valid');
  save([x, y]);
  return {
    value: y,
    gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => {
      const [input, top] = saved as [tf.Tensor4D, tf.Tensor4D];
      const [n, h, width, c] = top.shape;
      const spread = (t: tf.Tensor) =>
        tf.reshape(tf.tile(tf.reshape(t, [n, h, 1, width, 1, c]), [1, 1, 2, 1, 2, 1]), input.shape);
      return tf.mul(spread(dy), tf.cast(tf.equal(input, spread(top)), 'float32'));
    },
  };
}) as (x: tf.Tensor4D) => tf.Tensor4D;

/**
 * LeNet's training step in tfjs with its WebAssembly backend, layout NHWC, Adam: seconds of each of `runs` steps after
 * one that warms up. The backend has no kernel for the gradient of convolution weights nor for that of max pooling: they
 * are written here with what it has, a convolution of x by dy with batch and channels exchanged, and a comparison.
 */
offer(async ({ batch, runs }: TrainInput): Promise<number[]> => {
  await startTfjs();
  const scope = tf.engine();
  scope.startScope();
  try {
    const make = (shape: number[], deviation: number) => tf.variable(tf.randomNormal(shape, 0, deviation));
    const norm = (channels: number) => ({
      gamma: tf.variable(tf.ones([channels])),
      beta: tf.variable(tf.zeros([channels])),
    });
    const w = {
      conv1: make([5, 5, 1, 20], 0.28),
      norm1: norm(20),
      conv2: make([5, 5, 20, 50], 0.06),
      norm2: norm(50),
      dense3: make([800, 500], 0.05),
      norm3: norm(500),
      dense4: make([500, 10], 0.06),
      bias4: tf.variable(tf.zeros([10])),
    };
    const pixels = tf.randomUniform([batch, 28, 28, 1]) as tf.Tensor4D;
    const targets = tf.oneHot(
      Array.from({ length: batch }, (_, i) => i % 10),
      10,
    );
    const optimizer = tf.train.adam(1e-3);
    const block = (x: tf.Tensor4D, weights: tf.Tensor, n: Norm) =>
      tf.relu(normalized(pool(convolve(x, weights as tf.Tensor4D)), n)) as tf.Tensor4D;
    const loss = () => {
      const features = block(block(pixels, w.conv1, w.norm1), w.conv2, w.norm2);
      const flat = tf.matMul(tf.reshape(features, [batch, 800]), w.dense3 as tf.Tensor2D);
      const scores = tf.add(tf.matMul(tf.relu(normalized(flat, w.norm3)), w.dense4 as tf.Tensor2D), w.bias4);
      return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(scores), targets), 1))) as tf.Scalar;
    };
    const times: number[] = [];
    for (let i = 0; i <= runs; i++) {
      const start = performance.now();
      const reached = optimizer.minimize(loss, true)!;
      if (!Number.isFinite((await reached.data())[0])) throw new Error('the rival has diverged');
      reached.dispose();
      if (i > 0) times.push((performance.now() - start) / 1000);
    }
    return times;
  } finally {
    scope.endScope();
  }
});
