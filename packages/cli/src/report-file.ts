import { writeFile } from 'node:fs/promises';
import { TierwiseError } from '@tierwise/core';

/** @throws TierwiseError FILE_UNREADABLE naming the file */
export async function writeReport(file: string, html: string): Promise<void> {
  try {
    await writeFile(file, html);
  } catch (cause) {
    throw new TierwiseError(
      'FILE_UNREADABLE',
      `${file} cannot be written: ${(cause as Error).message}`,
      { file },
      { cause },
    );
  }
}
