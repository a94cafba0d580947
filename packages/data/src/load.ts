import { readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import { cifar10, fromCifar, trainingBatches } from './cifar.ts';
import { type DatasetSplit, fromIdx } from './dataset.ts';
import { type DownloadOptions, download } from './download.ts';
import { fitted } from './fit.ts';
import { fromFolder, type PictureSize } from './folder.ts';
import { type Idx, readIdx } from './idx.ts';
import { idxFileNames, type KnownDataset, knownDatasets } from './known.ts';
import { isAbsent, readFirst, unreadable } from './packed.ts';

/** Names that `loadDataset` takes. */
export const datasetNames: readonly string[] = [...knownDatasets.map(({ name }) => name), cifar10.name];

/** How a data set is found, and brought to the form that a network takes. */
export interface LoadOptions extends DownloadOptions {
  /** What pictures are resized to. Without it they keep their own size, which those in class folders have not. */
  readonly size?: PictureSize | undefined;
  /**
   * Which pictures of class folders without train/ and test/ are for testing. Not the seed of a training: what was
   * trained on must never be measured on. Default 1.
   */
  readonly splitSeed?: number | undefined;
  /** How many files of class folders are read. */
  readonly onPictures?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/**
 * A data set by its known name (`mnist`, `fashion-mnist`, `cifar-10`) or from a folder.
 *
 * Each file of a known name is looked up in `$TIERWISE_DATA/<name>/`, then in the user's cache
 * (`$XDG_CACHE_HOME/tierwise/<name>/` or `~/.cache/tierwise/<name>/`), and is at last downloaded into that cache from
 * its publisher. CIFAR-10 is not downloaded; of it those training batches are used that are there.
 *
 * A folder holds four IDX files under MNIST's file names, whose classes are named "0", "1", ...; or CIFAR-10 batches;
 * or pictures in class folders, which need `size`. IDX and CIFAR files may be gzip or plain, with or without `.gz` in
 * their names.
 * @throws TierwiseError DATA_MISSING | DATA_CORRUPT | FILE_UNREADABLE; USAGE for class folders without `size`;
 *   CANCELLED by `signal`
 */
export async function loadDataset(nameOrFolder: string, options: LoadOptions = {}): Promise<DatasetSplit> {
  const data = await loadAsItIs(nameOrFolder, options);
  return options.size ? fitted(data, options.size) : data;
}

/** Pictures in class folders come at `options.size`, others at their own. */
async function loadAsItIs(nameOrFolder: string, options: LoadOptions): Promise<DatasetSplit> {
  const known = knownDatasets.find(({ name }) => name === nameOrFolder);
  if (known !== undefined) return loadKnown(known, options);
  if (nameOrFolder === cifar10.name) return loadCifar10(options);
  const entries = await namesIn(nameOrFolder);
  const plain = new Set(entries.map((name) => name.replace(/\.gz$/, '')));
  if (idxFileNames.some((name) => plain.has(name.replace(/\.gz$/, '')))) {
    return fromIdx(
      nameOrFolder,
      await readAll(async (file) => {
        const found = await readFirst([nameOrFolder], file, options.signal);
        if (found !== undefined) return readIdx(found.bytes, found.path);
        throw new TierwiseError('DATA_MISSING', `${nameOrFolder}: there is no ${file} in this folder`, {
          data: nameOrFolder,
          file,
        });
      }),
    );
  }
  if ((await trainingBatches(nameOrFolder)).length > 0) {
    return fromCifar(nameOrFolder, nameOrFolder, options.signal);
  }
  const { size, splitSeed = 1, signal, onPictures } = options;
  if (size === undefined) {
    throw new TierwiseError('USAGE', `${nameOrFolder}: say what size its pictures are to be resized to`, {
      data: nameOrFolder,
    });
  }
  return fromFolder(nameOrFolder, { size, splitSeed, signal, onPictures });
}

/** What lies in `folder`. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (!isAbsent(error)) throw unreadable(folder, error);
    throw new TierwiseError(
      'DATA_MISSING',
      `"${folder}" is neither a folder nor the name of a known data set (${datasetNames.join(', ')})`,
      { data: folder },
    );
  }
}

/** A data set whose publisher is known. Exported for tests, which bring a publisher of their own. */
export async function loadKnown(known: KnownDataset, options: DownloadOptions = {}): Promise<DatasetSplit> {
  const folders = placesOf(known.name);
  const cache = folders.at(-1)!;
  const files = await readAll(async (name, index) => {
    const found = await readFirst(folders, name, options.signal);
    if (found !== undefined) return readIdx(found.bytes, found.path);
    const url = known.url + name;
    return readIdx(await download(url, known.files[index]!, join(cache, name), options), url);
  });
  return fromIdx(known.name, files, known.classes);
}

/** The publisher's archive unpacks into a folder of its own, so that one is looked into as well. */
async function loadCifar10({ signal }: LoadOptions): Promise<DatasetSplit> {
  const places = placesOf(cifar10.name);
  for (const place of places.flatMap((folder) => [folder, join(folder, 'cifar-10-batches-bin')])) {
    if ((await trainingBatches(place)).length > 0) return fromCifar(cifar10.name, place, signal);
  }
  throw new TierwiseError(
    'DATA_MISSING',
    `${cifar10.name} is not on this machine: there is no data_batch_1.bin in ${places.join(' or ')}; unpack ${cifar10.archive} there`,
    { data: cifar10.name, url: cifar10.archive },
  );
}

/** Folders where a known data set may lie: the given one, then the cache. */
function placesOf(name: string): string[] {
  const given = process.env['TIERWISE_DATA'];
  const cache = join(cacheRoot(), name);
  return given ? [join(given, name), cache] : [cache];
}

/** One file after the other, so that a download is shown and cancelled as one thing at a time. */
async function readAll(read: (name: string, index: number) => Promise<Idx>) {
  const [trainImages, trainLabels, testImages, testLabels] = idxFileNames;
  return {
    trainImages: await read(trainImages, 0),
    trainLabels: await read(trainLabels, 1),
    testImages: await read(testImages, 2),
    testLabels: await read(testLabels, 3),
  };
}

/** Where downloads are kept; XDG says that a relative `XDG_CACHE_HOME` must be ignored. */
function cacheRoot(): string {
  const xdg = process.env['XDG_CACHE_HOME'] ?? '';
  return join(isAbsolute(xdg) ? xdg : join(homedir(), '.cache'), 'tierwise');
}
