import * as tf from '@tensorflow/tfjs-core';
import type { TfjsNetwork } from '../tfjs-network.ts';
import { bytesOf } from './files.ts';
import { channels, pixels, side } from './picture.ts';
import { best, show } from './show.ts';
import { openTfjs, startTfjs } from './tfjs.ts';

async function main(): Promise<void> {
  const [network, weights] = await Promise.all([
    fetch('model/network.json').then((response): Promise<TfjsNetwork> => response.json()),
    bytesOf('model/weights.bin'),
    startTfjs(),
  ]);
  const run = openTfjs(network, weights);
  const input = tf.tensor4d(Float32Array.from(pixels), [1, side, side, channels]);
  show(best((await run(input).data()) as Float32Array));
}

main();
