import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { TierwiseError, toTierwiseError } from '@tierwise/core';

/** More than any data set in use unpacks to; a file that claims more is a trap for the memory. */
const maxUnpackedBytes = 2 ** 30;

/**
 * `bytes` without gzip: unpacked when they begin as gzip does, else as they are.
 * @throws TierwiseError DATA_CORRUPT naming `file` when they do not unpack
 */
export async function unpacked(bytes: Uint8Array, file: string): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: maxUnpackedBytes });
  } catch (cause) {
    throw new TierwiseError(
      'DATA_CORRUPT',
      `${file}: does not unpack: ${cause instanceof Error ? cause.message : cause}`,
      { file },
      { cause },
    );
  }
}

/** A file as it lies on the disk. */
export interface FoundFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * The file `name` (which ends in .gz) from the first folder that has it, with or without .gz; undefined when none has.
 * @throws TierwiseError FILE_UNREADABLE; CANCELLED by `signal`
 */
export async function readFirst(
  folders: readonly string[],
  name: string,
  signal: AbortSignal | undefined,
): Promise<FoundFile | undefined> {
  for (const folder of folders) {
    for (const path of [join(folder, name), join(folder, name.replace(/\.gz$/, ''))]) {
      const bytes = await readIfThere(path, signal);
      if (bytes !== undefined) return { path, bytes };
    }
  }
  return undefined;
}

/** @throws TierwiseError FILE_UNREADABLE; CANCELLED by `signal` */
async function readIfThere(path: string, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path, { signal });
  } catch (error) {
    if (signal?.aborted) throw toTierwiseError(signal.reason);
    if (isAbsent(error)) return undefined;
    throw unreadable(path, error);
  }
}

/** Whether an error of the file system says that there is nothing of that name. */
export function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

export function unreadable(path: string, cause: unknown): TierwiseError {
  const { code } = cause as NodeJS.ErrnoException;
  return new TierwiseError(
    'FILE_UNREADABLE',
    `${path}: cannot be read: ${code ?? cause}`,
    { file: path },
    { cause },
  );
}
