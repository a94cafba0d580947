import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isTierwiseError, preprocess, TierwiseError, toTierwiseError } from '@tierwise/core';
import { type ListedPicture, listClassFolders } from './class-folders.ts';
import type { Dataset, DatasetSplit } from './dataset.ts';
import { unreadable } from './packed.ts';
import { decodePicture } from './pictures.ts';
import { Tally } from './warnings.ts';

/** Size of the pictures that a network takes. */
export interface PictureSize {
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
}

export interface FolderOptions {
  readonly size: PictureSize;
  readonly splitSeed: number;
  readonly signal?: AbortSignal | undefined;
  readonly onPictures?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** Most bytes of a file that is taken for a picture, and of a data set in memory. */
const maxFileBytes = 2 ** 28;
const maxBytes = 2 ** 32 - 1;

/** Pictures that are decoded side by side; each takes up to a gigabyte while it is. */
const together = 2;

/**
 * A data set from pictures in class folders (see `listClassFolders`), each resized by core's `preprocess` as soon as
 * it is decoded, exactly as a device does before it classifies. Files that are no pictures are left out with a
 * warning; so are counted animations, 16-bit and CMYK pictures, and equal files in two classes or both halves.
 * @throws TierwiseError as `listClassFolders`; DATA_CORRUPT when no picture of a class can be decoded; USAGE when the
 *   pictures take more than 4 GiB at this size; CANCELLED by `signal`
 */
export async function fromFolder(folder: string, options: FolderOptions): Promise<DatasetSplit> {
  const tally = new Tally();
  const listed = await listClassFolders(folder, options.splitSeed, tally);
  const total = listed.train.length + listed.test.length;
  const known = new Map<string, { label: number; isTest: boolean }>();
  let done = 0;
  const half = async (pictures: readonly ListedPicture[], isTest: boolean): Promise<Dataset> => {
    const room = makeRoom(folder, pictures.length, options.size);
    const labels: number[] = [];
    for (let from = 0; from < pictures.length; from += together) {
      if (options.signal?.aborted) throw toTierwiseError(options.signal.reason);
      const group = pictures.slice(from, from + together);
      const taken = await Promise.all(group.map((picture) => take(picture, options.size)));
      for (const [i, { digest, pixels, notes }] of taken.entries()) {
        const picture = group[i]!;
        for (const [kind, text] of notes) tally.add(kind, text);
        if (pixels === undefined) continue;
        const twin = known.get(digest);
        if (twin === undefined) known.set(digest, { label: picture.label, isTest });
        else if (twin.label !== picture.label) tally.add('duplicate', picture.name);
        else if (twin.isTest !== isTest) tally.add('leak', picture.name);
        room.set(pixels, labels.length * pixels.length);
        labels.push(picture.label);
      }
      done += group.length;
      options.onPictures?.({ done, total });
    }
    const bytes = options.size.channels * options.size.height * options.size.width;
    return {
      name: folder,
      classes: listed.classes,
      ...options.size,
      images: room.subarray(0, labels.length * bytes),
      labels: Uint16Array.from(labels),
      samples: labels.length,
    };
  };
  const train = await half(listed.train, false);
  const test = await half(listed.test, true);
  const has = (data: Dataset, label: number) => data.labels.includes(label);
  for (const [label, name] of listed.classes.entries()) {
    if (!has(train, label)) {
      const path = join(folder, name);
      throw new TierwiseError('DATA_CORRUPT', `${path}: no training picture of this class can be decoded`, {
        file: path,
      });
    }
    if (!has(test, label)) tally.add('untested', name);
  }
  if (test.samples === 0)
    throw new TierwiseError('DATA_CORRUPT', `${folder}: there is no test picture that can be decoded`, {
      file: folder,
    });
  return { train, test, warnings: tally.warnings(folder) };
}

/** Zeroed memory for `pictures` pictures. @throws TierwiseError USAGE beyond 4 GiB */
export function makeRoom(
  folder: string,
  pictures: number,
  { channels, height, width }: PictureSize,
): Uint8Array {
  const bytes = pictures * channels * height * width;
  if (bytes > maxBytes)
    throw new TierwiseError(
      'USAGE',
      `${folder}: ${pictures} pictures of ${width} x ${height} x ${channels} take ${(bytes / 1e9).toFixed(1)} GB; give fewer or a smaller size`,
      { data: folder, bytes },
    );
  return new Uint8Array(bytes);
}

interface Taken {
  readonly digest: string;
  /** uint8 [channels, height, width]; undefined for a file that is no picture. */
  readonly pixels: Float32Array | undefined;
  readonly notes: readonly (readonly ['not-decoded' | 'animated' | 'reduced', string])[];
}

/** Reads, decodes and resizes one file; the full-size picture is gone when it returns. */
async function take({ path, name }: ListedPicture, size: PictureSize): Promise<Taken> {
  let bytes: Uint8Array;
  try {
    if ((await stat(path)).size > maxFileBytes) {
      return { digest: '', pixels: undefined, notes: [['not-decoded', `${name} (more than 256 MiB)`]] };
    }
    bytes = await readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    const picture = await decodePicture(bytes, name);
    const { data } = preprocess(picture, { ...size, scale: 1, mean: [0], std: [1] });
    return {
      digest: createHash('sha256').update(bytes).digest('base64'),
      pixels: data,
      notes: [
        ...(picture.frames > 1 ? [['animated', name] as const] : []),
        ...(picture.reduced ? [['reduced', name] as const] : []),
      ],
    };
  } catch (error) {
    if (!isTierwiseError(error, 'IMAGE_INVALID')) throw error;
    const reason = error.cause instanceof Error ? error.cause.message : error.message;
    return { digest: '', pixels: undefined, notes: [['not-decoded', `${name} (${reason})`]] };
  }
}
