/// <reference types="vite/client" />
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import simdUrl from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import * as tf from '@tensorflow/tfjs-core';
import type { TfjsNetwork, TfjsOp } from '../tfjs-network.ts';

/** Starts the WebAssembly backend in its SIMD build; a page that is not isolated has one thread. */
export async function startTfjs(): Promise<void> {
  // It wants an address for each build, and fetches only the one that it chooses.
  setWasmPaths({
    'tfjs-backend-wasm-simd.wasm': simdUrl,
    'tfjs-backend-wasm.wasm': '/no-build-without-simd',
    'tfjs-backend-wasm-threaded-simd.wasm': '/no-build-with-threads',
  });
  await tf.setBackend('wasm');
  await tf.ready();
}

/** A network with its weights in the backend's memory, as tfjs would hold it. */
export function openTfjs(network: TfjsNetwork, weights: ArrayBuffer): (input: tf.Tensor4D) => tf.Tensor2D {
  const constants = network.tensors.map(({ dims, offset }) =>
    tf.tensor(
      new Float32Array(
        weights,
        offset,
        dims.reduce((a, b) => a * b, 1),
      ),
      [...dims],
    ),
  );
  return (input) =>
    tf.tidy(() => {
      const values: tf.Tensor[] = [input];
      for (const op of network.ops) values.push(apply(op, values, constants));
      return values.at(-1) as tf.Tensor2D;
    });
}

function apply(op: TfjsOp, values: readonly tf.Tensor[], constants: readonly tf.Tensor[]): tf.Tensor {
  const x = values[op.inputs[0]!]!;
  switch (op.kind) {
    case 'conv': {
      const weights = constants[op.weights]! as tf.Tensor4D;
      const y = tf.conv2d(x as tf.Tensor4D, weights, op.stride, op.pad);
      return op.bias === undefined ? y : tf.add(y, constants[op.bias]!);
    }
    case 'dense':
      return tf.add(tf.matMul(x as tf.Tensor2D, constants[op.weights]! as tf.Tensor2D), constants[op.bias]!);
    case 'maxPool':
      return tf.maxPool(x as tf.Tensor4D, op.size, op.stride, op.pad);
    case 'meanPool':
      return tf.mean(x, [1, 2]);
    case 'relu':
      return tf.relu(x);
    case 'add':
      return tf.add(x, values[op.inputs[1]!]!);
    case 'flatten':
      // The file's dense weights expect channels outermost.
      return x.rank === 2 ? x : tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [1, -1]);
  }
}
