import { join } from 'node:path';
import { type Manifest, parseManifest } from '@tierwise/plan';
import { writeFileWhole } from '../files.ts';

/**
 * Gives the bundle in `folder` another manifest for the same files, whole or not at all.
 * @throws TierwiseError MANIFEST_INVALID, FILE_UNREADABLE
 */
export async function rewriteManifest(folder: string, manifest: Manifest): Promise<void> {
  const path = join(folder, 'manifest.json');
  const text = `${JSON.stringify(parseManifest(manifest, path), null, 2)}\n`;
  await writeFileWhole(path, new TextEncoder().encode(text));
}
