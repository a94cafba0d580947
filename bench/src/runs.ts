import { readdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isTierwiseError, readSafetensors, TierwiseError } from '@tierwise/core';
import { type Dataset, type DatasetSplit, loadDataset } from '@tierwise/data';
import { readBundle } from '@tierwise/edge';
import type { Manifest } from '@tierwise/plan';
import {
  type EpochRecord,
  type ExitSample,
  judge,
  openBundled,
  runRecordFiles,
  trainingFacts,
} from '@tierwise/train';

/** The folder of the repository, from `src` and from `dist`. */
export const repository = fileURLToPath(new URL('../../', import.meta.url));

/** What is known of a composite over all its test samples. */
export interface MeasuredBundle {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly mainAccuracy: number;
  readonly samples: readonly ExitSample[];
  readonly data: Dataset;
}

/**
 * Folders `BASE.tierwise` and `BASE-seedN.tierwise`, where `base` says, relative to `root`, and in `runs/`, which is not in
 * git: other seeds of what is.
 */
export async function findBundles(root: string, base: string): Promise<string[]> {
  const pattern = new RegExp(`^${basename(base).replaceAll('.', '\\.')}(-seed\\d+)?\\.tierwise$`);
  const found: string[] = [];
  for (const folder of new Set([join(root, dirname(base)), join(root, 'runs')])) {
    const names = await readdir(folder).catch(() => []);
    found.push(
      ...names
        .filter((name) => pattern.test(name))
        .sort()
        .map((name) => join(folder, name)),
    );
  }
  return found;
}

/** Branch and rest of a bundle on every sample of the test set, as deployed. `data` is loaded unless it is there. */
export async function measureBundle(
  folder: string,
  dataName: string,
  known: Map<string, DatasetSplit>,
  options: { readonly signal: AbortSignal; readonly onProgress: (line: string) => void },
): Promise<MeasuredBundle> {
  const { signal, onProgress } = options;
  const { manifest, artifacts } = await readBundle(folder, basename(folder));
  const [, channels, height, width] = manifest.input.dims as [number, 1 | 3, number, number];
  const key = [dataName, channels, height, width].join();
  const split =
    known.get(key) ?? (await loadDataset(dataName, { size: { channels, height, width }, signal }));
  known.set(key, split);
  const data = split.test;
  if (data.classes.length !== manifest.labels.length)
    throw new TierwiseError(
      'USAGE',
      `${folder} tells ${manifest.labels.length} classes apart, ${dataName} has ${data.classes.length}`,
    );
  await using composite = await openBundled(
    manifest,
    (wanted) => artifacts.find(({ artifact }) => artifact === wanted)!.bytes,
    Math.min(4, availableParallelism()),
  );
  onProgress(`${basename(folder)}: main network`);
  const mainAccuracy = await composite.mainAccuracy(data);
  const samples = await judge(composite, data, manifest.codec, {
    signal,
    onProgress: (p) => onProgress(`${basename(folder)}: ${p.done} of ${p.samples} samples`),
  });
  return { folder, manifest, mainAccuracy, samples, data };
}

/** The epochs of a training whose record lies beside its bundle; none where there is no record. */
export async function trainingHistory(folder: string): Promise<readonly EpochRecord[]> {
  const { json } = runRecordFiles(folder);
  try {
    const { format, history } = JSON.parse(await readFile(json, 'utf8'));
    return format === 'tierwise-run/1' && Array.isArray(history) ? history : [];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return [];
    throw error;
  }
}

/** How far a training has come that has left a checkpoint and no bundle; undefined where there is none. */
export async function unfinished(root: string, base: string): Promise<string | undefined> {
  const path = join(root, `${base}.tierwise.checkpoint.safetensors`);
  try {
    const { metadata } = readSafetensors(await readFile(path), path);
    const { settings, phase, history } = JSON.parse(metadata['training'] ?? '');
    const planned = trainingFacts(settings)?.phases;
    const last = history.at(-1);
    return `unfinished: ${history.length} epochs done of ${planned ?? 'an unknown number'}${last ? `, now ${last.phase ?? phase}` : ''}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (!isTierwiseError(error) && !(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return 'unfinished: its checkpoint cannot be read';
  }
}
