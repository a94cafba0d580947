import { argmax, type PreprocessSpec, softmax, TierwiseError, tensor } from '@tierwise/core';
import type { Dataset } from '@tierwise/data';
import { summarize } from '@tierwise/graph';
import { type Backbone, openBackbone } from '../frozen/backbone.ts';
import { temperatureFor } from './attach.ts';
import type { ImportedBackbone } from './import.ts';

/** How pixels 0..255 become a network's input: value = (pixel * scale - mean) / std. */
export type Normalization = Pick<PreprocessSpec, 'scale' | 'mean' | 'std'>;

/** What networks are usually trained with, by a name for people. */
const usual: readonly { readonly name: string; readonly channels?: 1 | 3; readonly values: Normalization }[] =
  [
    {
      name: 'ImageNet',
      channels: 3,
      values: { scale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
    },
    {
      name: 'CIFAR-10',
      channels: 3,
      values: { scale: 1 / 255, mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
    },
    { name: 'MNIST', channels: 1, values: { scale: 1 / 255, mean: [0.1307], std: [0.3081] } },
    { name: '0 to 1', values: { scale: 1 / 255, mean: [0], std: [1] } },
    { name: '-1 to 1', values: { scale: 1 / 255, mean: [0.5], std: [0.5] } },
    { name: '0 to 255', values: { scale: 1, mean: [0], std: [1] } },
  ];

/** One way for pixels to enter a network, and how well it does with them. */
export interface NormalizationTrial {
  readonly name: string;
  readonly values: Normalization;
  /** Share of `samples` training samples that the backbone gets right. */
  readonly accuracy: number;
  /** How far the highest score lies above the mean of a picture's scores, on average. */
  readonly spread: number;
  readonly samples: number;
}

/** A network that closes less of the gap between guessing and being always right has not understood its input. */
const leastGain = 0.1;

/** Each trial may cost about this many floating-point operations. */
const flopsPerTrial = 5e10;

/**
 * The backbone on some training samples with `given`, or with each usual normalisation: the best first. Which one a
 * network was trained with is not in its file, and a wrong one makes it guess without an error.
 * @throws TierwiseError USAGE when even the best is no better than guessing, saying how its outputs and the classes of
 *   the data go together where that shows
 */
export async function tryNormalizations(
  backbone: ImportedBackbone,
  data: Dataset,
  options: {
    readonly given?: Normalization | undefined;
    /** How many are looked at; by default as many as take seconds, at most 1000. */
    readonly samples?: number;
    readonly threads: number;
    readonly signal?: AbortSignal;
  },
): Promise<readonly NormalizationTrial[]> {
  const { channels } = backbone.pictures;
  const candidates = options.given
    ? [{ name: 'as given', values: options.given }]
    : usual.filter((candidate) => (candidate.channels ?? channels) === channels);
  const { flops } = summarize(backbone.model).totals;
  const affordable = Math.max(50, Math.min(1000, Math.floor(flopsPerTrial / flops)));
  const samples = Math.min(data.samples, options.samples ?? affordable);
  const trials: (NormalizationTrial & Predictions)[] = [];
  for (const { name, values } of candidates) {
    const preprocess = { ...backbone.pictures, ...values };
    const predictions = await predict({ ...backbone, preprocess }, data, samples, options);
    const { predicted, labels } = predictions;
    const right = predicted.filter((label, i) => label === labels[i]).length;
    trials.push({ name, values, accuracy: right / samples, samples, ...predictions });
  }
  trials.sort((a, b) => b.accuracy - a.accuracy || a.loss - b.loss);
  const [best] = trials as [(typeof trials)[number]];
  const counts = new Uint32Array(backbone.classes);
  for (const label of best.labels) counts[label]!++;
  const guessing = Math.max(...counts) / samples;
  const elsewhere = renumbered(best, data);
  const isOtherOrder = elsewhere.length >= Math.max(2, data.classes.length / 3);
  if (samples >= 10 && (isOtherOrder || best.accuracy - guessing < leastGain * (1 - guessing))) {
    const share = `${(100 * best.accuracy).toFixed(1)} % of ${samples} training samples right`;
    throw new TierwiseError(
      'USAGE',
      isOtherOrder
        ? `the network gets ${share} and takes most of ${elsewhere.slice(0, 4).join(', ')}: its outputs are in another order than the classes; give theirs with --classes`
        : `the network gets ${share}, no better than guessing${options.given ? ': check --mean, --std and --scale' : `, with each of ${trials.length} usual normalisations: give its own with --mean, --std and --scale`}, --bgr, --classes, and that it was trained for such pictures`,
    );
  }
  return trials.map(({ predicted, labels, loss, ...trial }) => trial);
}

interface Predictions {
  readonly predicted: Uint16Array;
  readonly labels: Uint16Array;
  /** Mean cross-entropy, which tells apart what is right equally often. */
  readonly loss: number;
  readonly spread: number;
}

/** Classes of evenly spread samples, as the backbone sees them and as the data says. */
async function predict(
  backbone: Backbone,
  data: Dataset,
  samples: number,
  { threads, signal }: { readonly threads: number; readonly signal?: AbortSignal },
): Promise<Predictions> {
  const { preprocess: spec } = backbone;
  await using opened = await openBackbone(backbone, threads);
  const classes = opened.scoresDims[1]!;
  const size = spec.channels * spec.height * spec.width;
  const predicted = new Uint16Array(samples);
  const labels = new Uint16Array(samples);
  let [loss, spread] = [0, 0];
  const batch = Math.max(1, Math.min(100, Math.floor(2 ** 22 / size)));
  for (let from = 0; from < samples; from += batch) {
    signal?.throwIfAborted();
    const count = Math.min(batch, samples - from);
    const pixels = new Uint8Array(count * size);
    for (let i = 0; i < count; i++) {
      const index = Math.floor(((from + i) * data.samples) / samples);
      pixels.set(data.images.subarray(index * size, (index + 1) * size), i * size);
      labels[from + i] = data.labels[index]!;
    }
    const { scores } = await opened.run(
      tensor('uint8', [count, spec.channels, spec.height, spec.width], pixels),
    );
    for (let i = 0; i < count; i++) {
      const row = scores.data.subarray(i * classes, (i + 1) * classes);
      predicted[from + i] = argmax(row);
      spread += (Math.max(...row) - row.reduce((a, b) => a + b, 0) / row.length) / samples;
      loss -= Math.log(Math.max(softmax(row)[labels[from + i]!]!, 1e-30)) / samples;
    }
  }
  return { predicted, labels, loss, spread };
}

/** The temperature that softens the scores of a `teacher` of any kind, as it sees some training samples. */
export async function temperatureOf(
  teacher: Backbone,
  data: Dataset,
  options: { readonly threads: number; readonly signal?: AbortSignal },
): Promise<number> {
  const { spread } = await predict(teacher, data, Math.min(data.samples, 200), options);
  return temperatureFor(spread);
}

/** Classes most of whose pictures get one wrong answer, another one for each: data and network number them differently. */
function renumbered({ predicted, labels }: Predictions, { classes }: Dataset): string[] {
  const found = classes.flatMap((name, label) => {
    const answers = [...predicted].filter((_, i) => labels[i] === label);
    const counts = new Map<number, number>();
    for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
    const [top = label, count = 0] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [];
    return top !== label && count > 2 && count > answers.length / 2 ? [{ name, top }] : [];
  });
  const distinct = new Set(found.map(({ top }) => top)).size;
  return distinct < found.length ? [] : found.map(({ name, top }) => `"${name}" as output ${top}`);
}
