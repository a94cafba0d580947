import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isTierwiseError } from '@tierwise/core';
import type { Manifest } from '@tierwise/plan';
import { type Bundle, keyOf, listBundles, readManifest } from './bundles.ts';

/**
 * Bundles that were once served, beside the models: `.kept/NAME-KEY.tierwise`, each a bundle like any other. When
 * its manifest was last modified says when it was last the current one of its name.
 */
const keptFolder = '.kept';
/** Of a bundle that is being written. */
const unfinished = '.part-';

export interface KeptBundle {
  readonly path: string;
  readonly manifest: Manifest;
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly lastCurrent: number;
}

/**
 * Writes a copy of `bundle` unless there is one; it is complete or absent. Returns its path.
 * @throws the file system's errors: a models folder may be read-only
 */
export async function keep(models: string, { manifest, key, artifacts }: Bundle): Promise<string> {
  const folder = join(models, keptFolder);
  const path = join(folder, `${manifest.name}-${key.slice(0, 16)}.tierwise`);
  if (await exists(path)) return path;
  await mkdir(folder, { recursive: true });
  // Copies of a server's are nobody's source.
  await writeFile(join(folder, '.gitignore'), '*\n');
  const part = await mkdtemp(join(folder, unfinished));
  try {
    for (const { artifact, bytes } of artifacts) await writeFile(join(part, artifact.file), bytes);
    await writeFile(join(part, 'manifest.json'), JSON.stringify(manifest));
    await rename(part, path);
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    // Another edge of the same folder was faster.
    if (!(await exists(path))) throw error;
  }
  return path;
}

/** Notes that the kept bundle at `path` is the current one now. */
export async function markCurrent(path: string, now: Date): Promise<void> {
  await utimes(join(path, 'manifest.json'), now, now);
}

/** Every kept bundle, the latest first. What cannot be read is none; what was left unfinished an hour ago is removed. */
export async function listKept(models: string): Promise<KeptBundle[]> {
  const folder = join(models, keptFolder);
  const kept: KeptBundle[] = [];
  for (const name of await listBundles(folder).catch(() => [])) {
    const path = join(folder, name);
    try {
      const manifest = await readManifest(path);
      const { mtimeMs } = await stat(join(path, 'manifest.json'));
      kept.push({ path, manifest, key: await keyOf(manifest), lastCurrent: mtimeMs });
    } catch (error) {
      if (!isTierwiseError(error)) throw error;
    }
  }
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(unfinished)) continue;
    const { mtimeMs } = await stat(join(folder, name)).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (mtimeMs < Date.now() - 3_600_000) await rm(join(folder, name), { recursive: true, force: true });
  }
  return kept.sort((a, b) => b.lastCurrent - a.lastCurrent);
}

export async function forget(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}

export function readKept(path: string, file: string): Promise<Uint8Array> {
  return readFile(join(path, file));
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
