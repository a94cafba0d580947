/** Files that a flag or an argument names. What goes wrong with one is told with its name. */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import { externalFiles, type ModelProto, readOnnx, readOnnxWith } from '@tierwise/graph';

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

/** An ONNX file as it was read. */
export interface ModelFile {
  readonly model: ModelProto;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What is in the files beside it that hold weights, by the names that it gives them; for most there are none. */
  readonly beside: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/**
 * The ONNX model in `file`, its weights with it where they are in files beside it.
 * @throws TierwiseError FILE_UNREADABLE naming the file; MODEL_CORRUPT | MODEL_UNSUPPORTED
 */
export async function readModel(file: string): Promise<ModelFile> {
  const bytes = await readBytes(file);
  const names = externalFiles(bytes, file);
  if (names.length === 0) return { model: readOnnx(bytes, file), bytes, beside: new Map() };
  const beside = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of names) {
    const path = join(dirname(file), name);
    beside.set(name, await withFile(path, `read, where ${file} has its weights`, readFile(path)));
  }
  return { model: readOnnxWith(bytes, beside, file), bytes, beside };
}

/** @throws TierwiseError FILE_UNREADABLE naming the file */
export const writeText = (file: string, text: string): Promise<void> =>
  withFile(file, 'written', writeFile(file, text));
