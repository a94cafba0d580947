import { availableParallelism } from 'node:os';
import { TierwiseError } from '@tierwise/core';
import { type DatasetSplit, relabelled } from '@tierwise/data';
import { readBundle } from '@tierwise/edge';
import type { Manifest } from '@tierwise/plan';
import { type Measured, openBundled } from '@tierwise/train';
import { loadData } from './data.ts';
import type { Terminal } from './terminal.ts';

export interface MeasureFlags {
  readonly data: string;
  readonly threads?: number;
}

export interface OpenedBundle extends AsyncDisposable {
  readonly manifest: Manifest;
  readonly data: DatasetSplit;
  readonly composite: Measured;
}

/**
 * Opens a bundle to be measured, with data that fit it.
 * @throws TierwiseError USAGE when the classes differ, and what reading a bundle and data throws
 */
export async function openBundle(
  bundle: string,
  flags: MeasureFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<OpenedBundle> {
  const { manifest, artifacts } = await readBundle(bundle);
  const [, channels, height, width] = manifest.input.dims as [number, 1 | 3, number, number];
  const loaded = await loadData(flags.data, { channels, height, width }, terminal, signal);
  const { classes } = loaded.test;
  const known = classes.every((name) => manifest.labels.includes(name));
  if (!known && classes.length !== manifest.labels.length)
    throw new TierwiseError(
      'USAGE',
      `${bundle} tells ${manifest.labels.length} classes apart, ${flags.data} has ${classes.length}`,
    );
  // Classes without the bundle's names can only be meant in the bundle's order.
  const data = known ? relabelled(loaded, manifest.labels) : loaded;
  const composite = await openBundled(
    manifest,
    (wanted) => artifacts.find(({ artifact }) => artifact === wanted)!.bytes,
    flags.threads ?? Math.min(4, availableParallelism()),
  );
  return { manifest, data, composite, [Symbol.asyncDispose]: () => composite[Symbol.asyncDispose]() };
}
