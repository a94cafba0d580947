import { type Tensor, tensor } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import { GraphBuilder, type Value, writeOnnx } from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import type { ConvOptions, Feature } from '../layers/layers.ts';
import { TrainingLayers } from '../layers/training.ts';
import type { Network } from '../networks/index.ts';
import { unchanged } from '../training/batches.ts';
import type { StartingValues } from './drawn.ts';

/** A layer with weights and a bias, and what it makes of a batch. */
interface Biased {
  readonly name: string;
  readonly mean: Value;
  readonly variance: Value;
}

/** Layers of a forward pass that also gives mean and variance of each filter or unit that has a bias. */
class MeasuringLayers extends TrainingLayers {
  readonly biased: Biased[] = [];
  readonly #b: GraphBuilder;

  constructor(builder: GraphBuilder) {
    // Masks would be inputs more, and only add noise here.
    super(builder, { dropout: 0 });
    this.#b = builder;
  }

  #measured(x: Feature, name: string): Feature {
    const b = this.#b;
    const axes = x.dims.map((_, axis) => axis).filter((axis) => axis !== 1);
    const centred = b.sub(x.value, b.mean(x.value, axes, 1));
    this.biased.push({
      name,
      mean: b.mean(x.value, axes),
      variance: b.mean(b.mul(centred, centred), axes),
    });
    return x;
  }

  override conv(x: Feature, name: string, options: ConvOptions): Feature {
    const y = super.conv(x, name, options);
    return options.bias ? this.#measured(y, name) : y;
  }

  override dense(x: Feature, name: string, units: number): Feature {
    return this.#measured(super.dense(x, name, units), name);
  }
}

/** Samples that are measured, at most. */
const most = 128;
/** Deviation that the scores start with. */
const ofScores = 0.1;

/**
 * In a network without batch norms: scales the drawn weights of each layer, and sets its bias, so that each of its
 * filters has mean 0 and variance 1 over `samples` of `data`, one layer after the other, from the pixels on; the scores,
 * which come last, have a deviation of 0.1, so that no class is preferred. It is what batch norms would do at the start
 * (Krähenbühl et al., "Data-dependent Initializations of Convolutional Neural Networks", ICLR 2016). In its second epoch
 * on CIFAR-10 VGG16 got 11 % of the pictures right without it and 17 % with it (dropout and SGD, one run each, with batches of
 * 32 and 64).
 *
 * @throws TierwiseError what running a model throws
 */
export async function settled(
  network: Network,
  drawn: StartingValues,
  { data, samples, threads }: { data: Dataset; samples: Uint32Array; threads: number },
): Promise<StartingValues> {
  const pixels = unchanged(data, samples.subarray(0, most));

  const b = new GraphBuilder(`${network.name}-forward`);
  const layers = new MeasuringLayers(b);
  const value = b.op('Cast', [b.input('pixels', 'uint8', pixels.dims)], { to: 1 });
  network.main(layers, network.stem(layers, { value, dims: pixels.dims }), data.classes.length);
  if (layers.statistics.length > 0) return drawn;
  const values = new Map(drawn);
  for (const { name, mean, variance } of layers.biased) {
    const filters = [values.get(`${name}.bias`)!.length];
    b.output(mean, 'float32', filters, `${name}.mean`);
    b.output(variance, 'float32', filters, `${name}.variance`);
  }

  const session = await openSession(writeOnnx(b.model), { threads });
  try {
    for (const { name } of layers.biased) {
      const feeds = new Map<string, Tensor>([['pixels', pixels]]);
      for (const { name: parameter, dims } of layers.parameters)
        feeds.set(parameter, tensor('float32', dims, values.get(parameter)!));
      const wanted = [`${name}.mean`, `${name}.variance`] as const;
      const found = await session.run(feeds, new Map(wanted.map((output) => [output, null])));
      const [means, variances] = wanted.map((output) => found.get(output)!.data as Float32Array);
      const [weight, bias] = [values.get(`${name}.weight`)!.slice(), values.get(`${name}.bias`)!.slice()];
      const deviation = name === layers.biased.at(-1)!.name ? ofScores : 1;
      const taps = weight.length / bias.length;
      for (const [k, mean] of means!.entries()) {
        const scale = deviation / Math.sqrt(variances![k]! + 1e-12);
        for (let i = k * taps; i < (k + 1) * taps; i++) weight[i] = weight[i]! * scale;
        bias[k] = (bias[k]! - mean) * scale;
      }
      values.set(`${name}.weight`, weight).set(`${name}.bias`, bias);
    }
  } finally {
    await session.dispose();
  }
  return values;
}
