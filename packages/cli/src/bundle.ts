import { availableParallelism } from 'node:os';
import { TierwiseError } from '@tierwise/core';
import { readBundle } from '@tierwise/edge';
import type { Manifest } from '@tierwise/plan';
import { type DatasetSplit, type Measured, openBundled } from '@tierwise/train';
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
 * @throws TierwiseError USAGE when pictures or classes differ, and what reading a bundle and data throws
 */
export async function openBundle(
  bundle: string,
  flags: MeasureFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<OpenedBundle> {
  const { manifest, artifacts } = await readBundle(bundle);
  const [, channels, height, width] = manifest.input.dims as [number, 1 | 3, number, number];
  const data = await loadData(flags.data, { channels, height, width }, terminal, signal);
  const { test } = data;
  if (
    test.channels !== channels ||
    test.height !== height ||
    test.width !== width ||
    test.classes.length !== manifest.labels.length
  )
    throw new TierwiseError(
      'USAGE',
      `${bundle} takes ${width} x ${height} x ${channels} pictures of ${manifest.labels.length} classes; ${flags.data} has ${test.width} x ${test.height} x ${test.channels} of ${test.classes.length}`,
    );
  const composite = await openBundled(
    manifest,
    (wanted) => artifacts.find(({ artifact }) => artifact === wanted)!.bytes,
    flags.threads ?? Math.min(4, availableParallelism()),
  );
  return { manifest, data, composite, [Symbol.asyncDispose]: () => composite[Symbol.asyncDispose]() };
}
