/** Files that a flag or an argument names. What goes wrong with one is told with its name. */
import { readFile, writeFile } from 'node:fs/promises';
import { TierwiseError } from '@tierwise/core';

/** What becomes of `work` on `file`, which `cannot` be done. @throws TierwiseError FILE_UNREADABLE naming the file */
export async function withFile<T>(file: string, cannot: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    throw new TierwiseError(
      'FILE_UNREADABLE',
      `${file} cannot be ${cannot}: ${(cause as Error).message}`,
      { file },
      { cause },
    );
  }
}

/** @throws TierwiseError FILE_UNREADABLE naming the file */
export const readBytes = (file: string): Promise<Uint8Array<ArrayBuffer>> =>
  withFile(
    file,
    'read',
    readFile(file).then((bytes) => new Uint8Array(bytes)),
  );

/** @throws TierwiseError FILE_UNREADABLE naming the file */
export const writeText = (file: string, text: string): Promise<void> =>
  withFile(file, 'written', writeFile(file, text));
