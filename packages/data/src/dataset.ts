import { TierwiseError } from '@tierwise/core';
import type { Idx } from './idx.ts';

/** One half of a data set, in memory. */
export interface Dataset {
  /** The name or the folder that it was asked for by. */
  readonly name: string;
  /** Name of each class; `labels` index it. */
  readonly classes: readonly string[];
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
  /** Pixels 0..255, [samples, channels, height, width] (NCHW). */
  readonly images: Uint8Array;
  /** Class of each sample, 0..classes.length - 1. */
  readonly labels: Uint16Array;
  readonly samples: number;
}

/** Something of a data set that was used otherwise than it lay there, and how often. */
export interface DatasetWarning {
  readonly kind:
    | 'part-missing'
    | 'not-decoded'
    | 'not-read'
    | 'animated'
    | 'reduced'
    | 'duplicate'
    | 'leak'
    | 'alike'
    | 'resized'
    | 'untested';
  readonly count: number;
  /** One line for people, naming the first few. */
  readonly message: string;
}

/** The half to learn from and the half to judge by. Both have the same classes and sizes. */
export interface DatasetSplit {
  readonly train: Dataset;
  readonly test: Dataset;
  /** Empty when all of it was used as it is. Show them to whoever asked for the data. */
  readonly warnings: readonly DatasetWarning[];
}

/** The four IDX files of a data set, each with the path or address that its messages name. */
export interface IdxFiles {
  readonly trainImages: Idx;
  readonly trainLabels: Idx;
  readonly testImages: Idx;
  readonly testLabels: Idx;
}

/**
 * A data set from IDX files of grey pictures. `classes` undefined means as many as the training labels use, named
 * "0", "1", ...
 * @throws TierwiseError DATA_CORRUPT when the files do not fit each other
 */
export function fromIdx(name: string, files: IdxFiles, classes?: readonly string[]): DatasetSplit {
  const names =
    classes ??
    Array.from(
      { length: files.trainLabels.data.reduce((most, label) => Math.max(most, label), 1) + 1 },
      (_, i) => String(i),
    );
  const train = half(name, files.trainImages, files.trainLabels, names);
  const test = half(name, files.testImages, files.testLabels, names);
  if (train.height !== test.height || train.width !== test.width) {
    throw new TierwiseError(
      'DATA_CORRUPT',
      `${files.testImages.file}: pictures are ${test.width} x ${test.height}, ` +
        `but ${train.width} x ${train.height} in ${files.trainImages.file}`,
      { file: files.testImages.file },
    );
  }
  return { train, test, warnings: [] };
}

function half(name: string, images: Idx, labels: Idx, classes: readonly string[]): Dataset {
  const fail = (file: string, what: string) =>
    new TierwiseError('DATA_CORRUPT', `${file}: ${what}`, { file });
  const [samples = 0, height = 0, width = 0] = images.dims;
  if (images.dims.length !== 3) {
    throw fail(images.file, `pictures have 3 dimensions, not [${images.dims}]`);
  }
  if (labels.dims.length !== 1) throw fail(labels.file, `labels have 1 dimension, not [${labels.dims}]`);
  if (samples < 1 || height < 1 || width < 1) throw fail(images.file, `no pixels in [${images.dims}]`);
  if (labels.data.length !== samples) {
    throw fail(labels.file, `${labels.data.length} labels for the ${samples} pictures of ${images.file}`);
  }
  const wrong = labels.data.findIndex((label) => label >= classes.length);
  if (wrong >= 0) {
    throw fail(
      labels.file,
      `label ${labels.data[wrong]} of sample ${wrong} is not one of ${classes.length} classes`,
    );
  }
  return {
    name,
    classes,
    channels: 1,
    height,
    width,
    images: images.data,
    labels: Uint16Array.from(labels.data),
    samples,
  };
}
