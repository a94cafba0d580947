import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import { type DatasetSplit, type PictureSize, relabelled } from '@tierwise/data';
import { readBundle } from '@tierwise/edge';
import { readOnnx } from '@tierwise/graph';
import type { Manifest } from '@tierwise/plan';
import { type Backbone, type Measured, openBundled, type TrainingSettings } from '@tierwise/train';
import { loadData } from './data.ts';
import type { Terminal } from './terminal.ts';

export interface MeasureFlags {
  readonly data: string;
  readonly threads?: number;
}

export interface OpenedBundle extends AsyncDisposable {
  readonly manifest: Manifest;
  readonly data: DatasetSplit;
  readonly composite: Measured;
}

/**
 * Opens a bundle to be measured, with data that fit it.
 * @throws TierwiseError USAGE when the classes differ, and what reading a bundle and data throws
 */
export async function openBundle(
  bundle: string,
  flags: MeasureFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<OpenedBundle> {
  const { manifest, artifacts } = await readBundle(bundle);
  const [, channels, height, width] = manifest.input.dims as [number, 1 | 3, number, number];
  const loaded = await loadData(flags.data, { channels, height, width }, terminal, signal);
  const { classes } = loaded.test;
  const known = classes.every((name) => manifest.labels.includes(name));
  if (!known && classes.length !== manifest.labels.length)
    throw new TierwiseError(
      'USAGE',
      `${bundle} tells ${manifest.labels.length} classes apart, ${flags.data} has ${classes.length}`,
    );
  // Classes without the bundle's names can only be meant in the bundle's order.
  const data = known ? relabelled(loaded, manifest.labels) : loaded;
  const composite = await openBundled(
    manifest,
    (wanted) => artifacts.find(({ artifact }) => artifact === wanted)!.bytes,
    flags.threads ?? Math.min(4, availableParallelism()),
  );
  return { manifest, data, composite, [Symbol.asyncDispose]: () => composite[Symbol.asyncDispose]() };
}

/** A bundle's main network, that another network is to learn from. */
export interface BundledTeacher {
  readonly teacher: Backbone;
  readonly studentOf: NonNullable<TrainingSettings['studentOf']>;
  /** Its classes, in the order of its scores. */
  readonly labels: readonly string[];
}

/**
 * Reads the main network of `bundle` as a teacher of a network that takes `pictures`.
 * @throws TierwiseError USAGE where it takes others, and what reading a bundle throws
 */
export async function readTeacher(bundle: string, pictures: PictureSize): Promise<BundledTeacher> {
  const { manifest, artifacts } = await readBundle(bundle);
  const { input, stem, main, preprocess, labels } = manifest;
  const { channels, height, width } = pictures;
  if (input.dims.join() !== [1, channels, height, width].join())
    throw new TierwiseError(
      'USAGE',
      `${bundle} takes pictures of [${input.dims.slice(1)}], its student [${[channels, height, width]}]`,
    );
  const { bytes, artifact } = artifacts.find(({ artifact: { file } }) => file === main.artifact.file)!;
  return {
    teacher: {
      model: readOnnx(bytes, artifact.file),
      ports: { input: input.tensor, stem: stem.tensor, scores: main.scores.tensor },
      preprocess,
    },
    studentOf: { bundle: basename(bundle), digest: artifact.digest },
    labels,
  };
}
