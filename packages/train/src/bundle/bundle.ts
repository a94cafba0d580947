import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import type { CompositeFiles } from './make.ts';

/**
 * Writes `folder` (NAME.tierwise) whole: the files go into a neighbour, which then takes the place of an older
 * bundle of that name. A reader sees the old bundle or the new one.
 * @throws TierwiseError FILE_UNREADABLE naming the folder
 */
export async function writeBundle(
  folder: string,
  { manifest, files }: Pick<CompositeFiles, 'manifest' | 'files'>,
): Promise<void> {
  const suffix = randomBytes(6).toString('hex');
  const [fresh, old] = [`${folder}.${suffix}.part`, `${folder}.${suffix}.old`];
  try {
    await mkdir(dirname(folder), { recursive: true });
    await mkdir(fresh);
    for (const [name, bytes] of files) await writeFile(join(fresh, name), bytes);
    await writeFile(join(fresh, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    const replaced = await rename(folder, old).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return false;
        throw error;
      },
    );
    await rename(fresh, folder);
    if (replaced) await rm(old, { recursive: true });
  } catch (cause) {
    await rm(fresh, { recursive: true, force: true });
    throw new TierwiseError(
      'FILE_UNREADABLE',
      `${folder} cannot be written: ${(cause as Error).message}`,
      { file: folder },
      { cause },
    );
  }
}
