import { compileBranch } from '@tierwise/binary/compile';
import { isTierwiseError, TierwiseError } from '@tierwise/core';
import type { PictureSize } from '@tierwise/data';
import {
  type Classifier,
  constantPart,
  type ImportOptions,
  importClassifier,
  inferShapes,
  type ModelProto,
  stemCandidates,
  storeConstants,
  summarize,
  writeOnnx,
} from '@tierwise/graph';
import { openSession } from '@tierwise/ort';
import type { Backbone } from '../frozen/backbone.ts';

/** What the file of a network does not say, and where its branch leaves. */
export interface AttachOptions extends ImportOptions {
  /** Where the branch leaves: a tensor, or the name of the node that gives it. */
  readonly at?: string | undefined;
}

/** Somebody's classifier, ready to be given a branch. */
export interface ImportedBackbone extends Omit<Backbone, 'preprocess'> {
  readonly pictures: PictureSize;
  readonly classes: number;
  /** [1, c, h, w] */
  readonly stemDims: readonly number[];
  /** What was found and changed, a line each, for people. */
  readonly notes: readonly string[];
}

/**
 * Brings an ONNX classifier into the form that branches are attached to (see `importClassifier`), computes what
 * follows from its weights alone, and finds its stem: the best of `stemCandidates` that runs in the device's engine, or
 * the one that `at` names.
 * @throws TierwiseError MODEL_UNSUPPORTED naming the node in the way; USAGE where a choice is open
 */
export async function importBackbone(
  given: ModelProto,
  options: AttachOptions = {},
): Promise<ImportedBackbone> {
  const classifier = importClassifier(given, options);
  const model = await foldConstants(classifier.model);
  const { stem, notes } = findRunningStem({ ...classifier, model }, options.at);
  const [, channels, height, width] = classifier.input.dims;
  return {
    model,
    ports: { input: classifier.input.tensor, stem, scores: classifier.scores.tensor },
    pictures: { channels, height, width },
    classes: classifier.scores.classes,
    stemDims: inferShapes(model).get(stem)!.dims,
    notes: [...classifier.notes, ...notes],
  };
}

/** `model` with everything that follows from its weights alone computed and stored as weights. */
async function foldConstants(model: ModelProto): Promise<ModelProto> {
  const part = constantPart(model);
  if (part === undefined) return storeConstants(model, new Map());
  const session = await openSession(writeOnnx(part), { optimization: 'disabled' });
  try {
    return storeConstants(model, await session.run({}));
  } finally {
    await session.dispose();
  }
}

function findRunningStem(
  { model, input }: Pick<Classifier, 'model' | 'input'>,
  at: string | undefined,
): { stem: string; notes: string[] } {
  const notes: string[] = [];
  const candidates = at === undefined ? stemCandidates(model) : [namedStem(model, at)];
  for (const stem of candidates) {
    try {
      compileBranch(model, { input: input.tensor, outputs: [stem] });
    } catch (error) {
      if (!isTierwiseError(error, 'MODEL_UNSUPPORTED')) throw error;
      // The list of everything that the engine has would bury the node.
      const why = error.message.replace(
        /is not an operation of .*/,
        "is no operation of the device's engine",
      );
      if (at !== undefined)
        throw new TierwiseError('MODEL_UNSUPPORTED', `--at ${at}: ${why}`, error.details, { cause: error });
      notes.push(`the branch cannot leave after "${stem}": ${why}`);
      continue;
    }
    return { stem, notes: [...notes, `the branch leaves after "${stem}"`] };
  }
  throw new TierwiseError(
    'MODEL_UNSUPPORTED',
    `no part of the first stage can be shared with a branch: ${notes.at(-1)}`,
    { tensor: candidates.at(-1) },
  );
}

/** The tensor that `at` names, itself or by the node that gives it, where one tensor is all that crosses. */
function namedStem(model: ModelProto, at: string): string {
  const { cuts, nodes, tensors } = summarize(model);
  const maps = new Set(tensors.filter(({ dims }) => dims.length === 4).map(({ name }) => name));
  const possible = cuts.map(({ tensor }) => tensor).filter((name) => maps.has(name));
  const tensor = nodes.find(({ name }) => name === at)?.outputs[0] ?? at;
  if (possible.includes(tensor)) return tensor;
  const shown = possible.slice(0, 8).join(', ') + (possible.length > 8 ? ', ...' : '');
  const why = !tensors.some(({ name }) => name === tensor)
    ? 'the network has no such node or tensor'
    : !maps.has(tensor)
      ? 'it is no map [n, c, h, w]'
      : 'other tensors cross beside it';
  throw new TierwiseError('USAGE', `--at ${at}: ${why}; a branch can leave after ${shown}`, { tensor: at });
}
