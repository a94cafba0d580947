import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import type { Dataset, DatasetSplit, DatasetWarning } from './dataset.ts';
import { isAbsent, readFirst, unpacked, unreadable } from './packed.ts';

/** CIFAR-10 as it is asked for by name. Its publisher offers one archive, which the user unpacks. */
export const cifar10 = {
  name: 'cifar-10',
  classes: ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
  archive: 'https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz',
  /** Training batches that its publisher has. */
  batches: 5,
} as const;

const side = 32;
const pixels = 3 * side * side;
const row = 1 + pixels;

/** One file: rows of a label byte and 1,024 red, green and blue bytes each, row by row (Krizhevsky 2009). */
interface Batch {
  readonly labels: Uint8Array;
  readonly images: Uint8Array;
}

/** @throws TierwiseError DATA_CORRUPT, naming `file`, unless it is whole rows whose labels are below `classes` */
export async function readBatch(packed: Uint8Array, file: string, classes: number): Promise<Batch> {
  const fail = (what: string) => new TierwiseError('DATA_CORRUPT', `${file}: ${what}`, { file });
  const bytes = await unpacked(packed, file);
  const samples = bytes.length / row;
  if (samples < 1 || !Number.isInteger(samples)) {
    throw fail(`is no CIFAR batch: ${bytes.length} bytes are not a number of rows of ${row}`);
  }
  const labels = new Uint8Array(samples);
  const images = new Uint8Array(samples * pixels);
  for (let n = 0; n < samples; n++) {
    const label = bytes[n * row]!;
    if (label >= classes) throw fail(`label ${label} of row ${n} is not one of ${classes} classes`);
    labels[n] = label;
    images.set(bytes.subarray(n * row + 1, (n + 1) * row), n * pixels);
  }
  return { labels, images };
}

/** Names of the training batches in `folder`, with .gz and in order; none when there is no such folder. */
export async function trainingBatches(folder: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw unreadable(folder, error);
  }
  const batches = names.filter((name) => /^data_batch_\d+\.bin(\.gz)?$/.test(name));
  const order = (name: string) => Number(/\d+/.exec(name)![0]);
  return [...new Set(batches.map((name) => name.replace(/(\.gz)?$/, '.gz')))].sort(
    (a, b) => order(a) - order(b),
  );
}

/**
 * CIFAR-10 from the binary version's files in `folder`: every data_batch_N.bin that is there, and test_batch.bin,
 * each gzip or plain. Some batches are enough, with a warning that says how many samples there are.
 * @throws TierwiseError DATA_MISSING without a test batch; DATA_CORRUPT; FILE_UNREADABLE; CANCELLED by `signal`
 */
export async function fromCifar(
  name: string,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<DatasetSplit> {
  const found = await trainingBatches(folder);
  const train = await half(name, folder, found, signal);
  const test = await half(name, folder, ['test_batch.bin.gz'], signal);
  const warnings: DatasetWarning[] = [];
  if (found.length < cifar10.batches) {
    const message =
      `${folder}: ${found.length} of ${cifar10.batches} training batches are there, ` +
      `${train.samples.toLocaleString('en')} samples`;
    warnings.push({ kind: 'part-missing', count: cifar10.batches - found.length, message });
  }
  return { train, test, warnings };
}

async function half(
  name: string,
  folder: string,
  files: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Dataset> {
  const batches: Batch[] = [];
  for (const file of files) {
    const found = await readFirst([folder], file, signal);
    if (found === undefined) {
      throw new TierwiseError('DATA_MISSING', `${folder}: there is no ${file.replace(/\.gz$/, '')}[.gz]`, {
        data: folder,
        file: join(folder, file),
      });
    }
    batches.push(await readBatch(found.bytes, found.path, cifar10.classes.length));
  }
  const labels = Uint16Array.from(batches.flatMap((batch) => [...batch.labels]));
  const images = Buffer.concat(batches.map((batch) => batch.images));
  return {
    name,
    classes: cifar10.classes,
    channels: 3,
    height: side,
    width: side,
    images: new Uint8Array(images.buffer, images.byteOffset, images.length),
    labels,
    samples: labels.length,
  };
}
