import * as tf from '@tensorflow/tfjs-core';
import { boundRounds, type LayerCase } from '../layers.ts';
import { hasRelaxed, kernelContestant, prepareProgram } from './engine.ts';
import { bytesOf } from './files.ts';
import { offer } from './offer.ts';
import { openOrtWeb, ortWebContestant } from './ort-web.ts';
import { type Contestant, type RaceOptions, type RaceTimes, race } from './race.ts';
import { startTfjs } from './tfjs.ts';

/** What the page is asked for: one case. */
export interface KernelsInput {
  readonly layer: LayerCase;
  readonly race: RaceOptions;
}

const started = Promise.all([startTfjs(), loadBound()]);

offer(async ({ layer, race: options }: KernelsInput): Promise<RaceTimes> => {
  const [, bound] = await started;
  const { inputs, side } = layer;
  const input = Float32Array.from({ length: inputs * side * side }, (_, i) => ((i * 7919) % 251) - 125);
  const program = await bytesOf(`${layer.name}.safetensors`);
  const kernels = layer.kind === 'stem' ? (['convReal'] as const) : (['convTable', 'convPopcount'] as const);
  const contestants: Contestant[] = [];
  const ours = async (name: 'simd' | 'relaxed') =>
    contestants.push(kernelContestant(name, await prepareProgram(program, name, 'y'), input, kernels));
  await ours('simd');
  if (await hasRelaxed()) await ours('relaxed');
  const session = await openOrtWeb(await bytesOf(`${layer.name}.onnx`));
  const dims = layer.kind === 'dense' ? [1, inputs] : [1, inputs, side, side];
  contestants.push(ortWebContestant('ortWeb', session, dims, input));
  const tfjs = tfjsLayer(layer, input);
  contestants.push(tfjs, { name: 'bound', run: () => void bound(boundRounds) });
  try {
    return await race(contestants, options);
  } finally {
    await session.release();
    tfjs.dispose();
  }
});

async function loadBound(): Promise<(rounds: number) => number> {
  const { instance } = await WebAssembly.instantiateStreaming(fetch('bound.wasm'));
  return instance.exports['binaryBound'] as (rounds: number) => number;
}

/** The layer in tfjs, bias left out: it has no operator that adds it at no cost. */
function tfjsLayer(
  { kind, inputs, outputs, side }: LayerCase,
  data: Float32Array,
): Contestant & { dispose(): void } {
  const random = (dims: number[]) => tf.randomUniform(dims, -1, 1);
  const [x, w] =
    kind === 'dense'
      ? [tf.tensor(data, [1, inputs]), random([inputs, outputs])]
      : [tf.tensor(data, [1, side, side, inputs]), random([3, 3, inputs, outputs])];
  return {
    name: 'tfjs',
    run() {
      const y =
        kind === 'dense'
          ? tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D)
          : tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 1, 'same');
      y.dispose();
    },
    dispose() {
      x.dispose();
      w.dispose();
    },
  };
}
