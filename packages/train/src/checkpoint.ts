import { readFile } from 'node:fs/promises';
import { readSafetensors, type Tensor, TierwiseError, writeSafetensors } from '@tierwise/core';
import { writeFileWhole } from './files.ts';

/** Everything a training is determined by. A resumed training must have the same. */
export interface TrainingSettings {
  readonly network: string;
  readonly data: string;
  readonly samples: number;
  readonly holdout: number;
  readonly epochs: number;
  readonly batch: number;
  readonly optimizer: string;
  readonly peakRate: number;
  readonly warmup: number;
  readonly weightDecay: number;
  /** Largest shift of a training picture in pixels, each way. */
  readonly shift: number;
  /** Whether training pictures are mirrored at random. */
  readonly flip: boolean;
  readonly seed: number;
}

/** One line of the run record. Losses are means, accuracies shares, over the epoch's training samples. */
export interface EpochRecord {
  readonly epoch: number;
  readonly lossMain: number;
  readonly lossBranch: number;
  readonly accuracyMain: number;
  readonly accuracyBranch: number;
  readonly seconds: number;
}

export interface Checkpoint {
  readonly settings: TrainingSettings;
  /** Steps done. */
  readonly step: number;
  readonly history: readonly EpochRecord[];
  /** Sums over the epoch under way: loss and correct counts, in the order of `EpochRecord`. */
  readonly running: readonly number[];
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** Writes a checkpoint as safetensors, whole or not at all. */
export async function saveCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { tensors, ...rest } = checkpoint;
  await writeFileWhole(
    path,
    writeSafetensors(tensors, { format: 'tierwise-checkpoint/1', training: JSON.stringify(rest) }),
  );
}

/**
 * Reads a checkpoint that was made with `settings`; undefined when there is no such file.
 * @throws TierwiseError CHECKPOINT_INVALID | SAFETENSORS_CORRUPT | FILE_UNREADABLE
 */
export async function loadCheckpoint(
  path: string,
  settings: TrainingSettings,
): Promise<Checkpoint | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new TierwiseError(
      'FILE_UNREADABLE',
      `${path} cannot be read: ${(cause as Error).message}`,
      { file: path },
      { cause },
    );
  }
  const { tensors, metadata } = readSafetensors(bytes, path);
  const invalid = (what: string) =>
    new TierwiseError('CHECKPOINT_INVALID', `${path}: ${what}`, { file: path });
  if (metadata['format'] !== 'tierwise-checkpoint/1')
    throw invalid('this is not a checkpoint of this version');
  let rest: Omit<Checkpoint, 'tensors'>;
  try {
    rest = JSON.parse(metadata['training'] ?? '');
  } catch {
    throw invalid('its training record is not JSON');
  }
  if (
    typeof rest?.settings !== 'object' ||
    !Number.isSafeInteger(rest.step) ||
    !Array.isArray(rest.history) ||
    !Array.isArray(rest.running)
  )
    throw invalid('its training record is incomplete');
  for (const key of Object.keys(settings) as (keyof TrainingSettings)[])
    if (rest.settings[key] !== settings[key])
      throw invalid(`it was made with ${key} ${rest.settings[key]}, not ${settings[key]}`);
  return { ...rest, tensors };
}
