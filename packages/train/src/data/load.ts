import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { TierwiseError, toTierwiseError } from '@tierwise/core';
import { type DatasetSplit, fromIdx } from './dataset.ts';
import { type DownloadOptions, download } from './download.ts';
import { type Idx, readIdx } from './idx.ts';
import { idxFileNames, type KnownDataset, knownDatasets } from './known.ts';

/**
 * A data set by its known name (`mnist`, `fashion-mnist`) or from a folder.
 *
 * Each file of a known name is looked up in `$TIERWISE_DATA/<name>/`, then in the user's cache
 * (`$XDG_CACHE_HOME/tierwise/<name>/` or `~/.cache/tierwise/<name>/`), and is at last downloaded into that cache from
 * its publisher. A folder holds four IDX files under MNIST's file names; its classes are named "0", "1", ...
 * Everywhere a file may be gzip or plain, with or without `.gz` in its name.
 * @throws TierwiseError DATA_MISSING | DATA_CORRUPT | FILE_UNREADABLE; CANCELLED by `signal`
 */
export async function loadDataset(
  nameOrFolder: string,
  options: DownloadOptions = {},
): Promise<DatasetSplit> {
  const known = knownDatasets.find(({ name }) => name === nameOrFolder);
  if (known !== undefined) return loadKnown(known, options);
  const names = knownDatasets.map(({ name }) => name).join(', ');
  const isFolder = await stat(nameOrFolder).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) {
    throw new TierwiseError(
      'DATA_MISSING',
      `"${nameOrFolder}" is neither a folder nor the name of a known data set (${names})`,
      { data: nameOrFolder },
    );
  }
  const files = await readAll(async (file) => {
    const found = await readFirst([nameOrFolder], file, options.signal);
    if (found !== undefined) return found;
    throw new TierwiseError('DATA_MISSING', `${nameOrFolder}: there is no ${file} in this folder`, {
      data: nameOrFolder,
      file,
    });
  });
  return fromIdx(nameOrFolder, files);
}

/** A data set whose publisher is known. Exported for tests, which bring a publisher of their own. */
export async function loadKnown(known: KnownDataset, options: DownloadOptions = {}): Promise<DatasetSplit> {
  const cache = join(cacheRoot(), known.name);
  const given = process.env['TIERWISE_DATA'];
  const folders = given ? [join(given, known.name), cache] : [cache];
  const files = await readAll(async (name, index) => {
    const found = await readFirst(folders, name, options.signal);
    if (found !== undefined) return found;
    const url = known.url + name;
    return readIdx(await download(url, known.files[index]!, join(cache, name), options), url);
  });
  return fromIdx(known.name, files, known.classes);
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

/** The file from the first folder that has it, packed or not; undefined when none has. */
async function readFirst(
  folders: readonly string[],
  name: string,
  signal: AbortSignal | undefined,
): Promise<Idx | undefined> {
  for (const folder of folders) {
    for (const path of [join(folder, name), join(folder, name.replace(/\.gz$/, ''))]) {
      const bytes = await readIfThere(path, signal);
      if (bytes !== undefined) return readIdx(bytes, path);
    }
  }
  return undefined;
}

async function readIfThere(path: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path, { signal });
  } catch (error) {
    if (signal?.aborted) throw toTierwiseError(signal.reason);
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new TierwiseError(
      'FILE_UNREADABLE',
      `${path}: cannot be read: ${code ?? error}`,
      { file: path },
      { cause: error },
    );
  }
}

/** Where downloads are kept; XDG says that a relative `XDG_CACHE_HOME` must be ignored. */
function cacheRoot(): string {
  const xdg = process.env['XDG_CACHE_HOME'] ?? '';
  return join(isAbsolute(xdg) ? xdg : join(homedir(), '.cache'), 'tierwise');
}
