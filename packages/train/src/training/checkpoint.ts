import { readFile } from 'node:fs/promises';
import { elementCount, readSafetensors, type Tensor, TierwiseError, writeSafetensors } from '@tierwise/core';
import { writeFileWhole } from '../files.ts';
import type { HeadName } from '../step/step.ts';
import type { PhaseKind, PhaseSettings, TrainingSettings } from './settings.ts';

/** One line of the run record. Losses are means, accuracies shares, over the epoch's training samples as they were altered. */
export interface EpochRecord {
  readonly phase: PhaseKind;
  /** From 1 in each phase. */
  readonly epoch: number;
  /** Of the phase, where it is not 1. */
  readonly side?: number;
  readonly losses: ByHead;
  readonly accuracies: ByHead;
  /** Shares of held-back samples, see validate.ts, of what is in its final form. */
  readonly heldBack?: ByHead;
  /** Learning rate of the epoch's last step. */
  readonly rate: number;
  readonly seconds: number;
}

/** A number for each head that the phase trains. */
export type ByHead = Readonly<Partial<Record<HeadName, number>>>;

export interface Checkpoint {
  readonly settings: TrainingSettings;
  /** Index of the phase under way, and its steps done. */
  readonly phase: number;
  readonly step: number;
  readonly history: readonly EpochRecord[];
  /** Sums over the epoch under way: loss and correct count of each head. */
  readonly running: readonly number[];
  /** Weights of earlier phases and the state of this one. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/**
 * A float32 tensor of the checkpoint at `path`, of these dims or, as those of earlier phases are kept, flat.
 * @throws TierwiseError CHECKPOINT_INVALID when it is missing, or of another type or shape
 */
export function tensorIn(
  tensors: ReadonlyMap<string, Tensor>,
  { name, dims }: { readonly name: string; readonly dims: readonly number[] },
  path: string,
): Tensor<'float32'> {
  const found = tensors.get(name);
  const shapes = [dims, [elementCount(dims)]].map((shape) => shape.join());
  if (found?.dtype === 'float32' && shapes.includes(found.dims.join())) return found as Tensor<'float32'>;
  throw new TierwiseError('CHECKPOINT_INVALID', `${path}: ${name} is missing or not float32 [${dims}]`, {
    file: path,
    tensor: name,
  });
}

const format = 'tierwise-checkpoint/2';

/** Writes a checkpoint as safetensors, whole or not at all. */
export async function saveCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { tensors, ...rest } = checkpoint;
  await writeFileWhole(path, writeSafetensors(tensors, { format, training: JSON.stringify(rest) }));
}

/**
 * Reads a checkpoint that was made with `settings`; undefined when there is no such file.
 * @throws TierwiseError CHECKPOINT_INVALID | SAFETENSORS_CORRUPT | FILE_UNREADABLE
 */
export async function loadCheckpoint(
  path: string,
  settings: TrainingSettings,
): Promise<Checkpoint | undefined> {
  return readCheckpoint(path, settings, (all) => all);
}

/**
 * Reads the checkpoint of another training whose main network was trained, and to the end, as `settings` say. Its branch
 * may be another one.
 * @throws TierwiseError CHECKPOINT_INVALID | SAFETENSORS_CORRUPT | FILE_UNREADABLE
 */
export async function loadMain(path: string, settings: TrainingSettings): Promise<Checkpoint> {
  const saved = await readCheckpoint(
    path,
    settings,
    ({ recipe, design, temperature, studentOf, teacher, views, phases, ...main }) => ({
      ...main,
      phases: ofMain(phases),
    }),
  );
  if (saved === undefined) throw new TierwiseError('FILE_UNREADABLE', `${path} is not there`, { file: path });
  const epochs = saved.history.filter(({ phase }) => phase === 'main').length;
  const asked = ofMain(settings.phases).reduce((sum, { epochs }) => sum + epochs, 0);
  if (epochs < asked)
    throw new TierwiseError(
      'CHECKPOINT_INVALID',
      `${path}: its main network is trained for ${epochs} of ${asked} epochs`,
      { file: path },
    );
  return saved;
}

const ofMain = (phases: readonly PhaseSettings[]) => phases.filter(({ kind }) => kind === 'main');

async function readCheckpoint(
  path: string,
  settings: TrainingSettings,
  relevant: (settings: TrainingSettings) => Partial<TrainingSettings>,
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
  if (metadata['format'] !== format) throw invalid('this is not a checkpoint of this version');
  let rest: Omit<Checkpoint, 'tensors'>;
  try {
    rest = JSON.parse(metadata['training'] ?? '');
  } catch {
    throw invalid('its training record is not JSON');
  }
  if (
    typeof rest?.settings !== 'object' ||
    !Array.isArray(rest.settings?.phases) ||
    !Number.isSafeInteger(rest.phase) ||
    !Number.isSafeInteger(rest.step) ||
    !Array.isArray(rest.history) ||
    !Array.isArray(rest.running)
  )
    throw invalid('its training record is incomplete');
  const [past, asked] = [relevant(rest.settings), relevant(settings)];
  for (const key of Object.keys({ ...past, ...asked }) as (keyof TrainingSettings)[]) {
    const [was, is] = [JSON.stringify(past[key]), JSON.stringify(asked[key])];
    if (was !== is) throw invalid(`it was made with ${key} ${was}, not ${is}`);
  }
  if (!rest.settings.phases[rest.phase]) throw invalid('its training record is incomplete');
  return { ...rest, tensors };
}
