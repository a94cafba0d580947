import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TierwiseError } from '@tierwise/core';

/**
 * Writes a whole file or nothing: into a neighbour first, which reaches the disk before it takes the name.
 * @throws TierwiseError FILE_UNREADABLE naming the path, when the folder or the disk does not allow it
 */
export async function writeFileWhole(path: string, bytes: Uint8Array): Promise<void> {
  const neighbour = `${path}.${randomBytes(6).toString('hex')}.part`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(neighbour, 'wx');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(neighbour, path);
  } catch (cause) {
    await rm(neighbour, { force: true });
    throw new TierwiseError(
      'FILE_UNREADABLE',
      `${path} cannot be written: ${(cause as Error).message}`,
      { file: path },
      { cause },
    );
  }
}
