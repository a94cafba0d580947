import type { PreprocessSpec } from '@tierwise/core';
import type { CompositeGraph } from '../bundle/make.ts';
import { takeWeights } from '../frozen/backbone-training.ts';
import type { Weights } from '../layers/inference.ts';
import { addBranch, ports } from '../networks/export.ts';
import { type BranchDesign, freeDesign } from '../recipes/index.ts';
import { studentTemperature } from '../step/step.ts';
import type { TrainingSettings } from '../training/settings.ts';
import type { ImportedBackbone } from './import.ts';

const [usualDepth, usualWidth] = [4, 64];

/** A branch for anybody's stem: it cannot mirror a network that nobody has described, and should not mirror a deep one. */
export function designFor(
  { stemDims }: Pick<ImportedBackbone, 'stemDims'>,
  {
    depth = usualDepth,
    width = usualWidth,
    stride = 1,
  }: {
    readonly depth?: number | undefined;
    readonly width?: number | undefined;
    readonly stride?: 1 | 2 | undefined;
  } = {},
): BranchDesign {
  return freeDesign(stemDims, { depth, width, stride });
}

/** The composite of `backbone`, whose graph is changed, with the `weights` that `train` gave. */
export function attachedComposite(
  backbone: ImportedBackbone,
  preprocess: PreprocessSpec,
  settings: TrainingSettings,
  weights: Weights,
): CompositeGraph {
  const { model, stemDims, classes } = backbone;
  const { input, stem, scores } = backbone.ports;
  takeWeights(model, weights);
  addBranch(model, settings, weights, { stem: { tensor: stem, dims: stemDims }, classes, smallEnds: true });
  return { model, ports: { input, stem, main: scores, branch: ports.branch }, stemDims, preprocess };
}

/** The spread of scores that the usual temperature of a distillation is made for. */
const usualSpread = 10;

/**
 * The temperature that softens scores of this spread (see NormalizationTrial) for a student to match: networks that were
 * trained on pixels 0..255 can have scores in the hundreds, which a usual temperature would leave as sharp as labels.
 */
export function temperatureFor(spread: number): number {
  return studentTemperature * Math.max(1, spread / usualSpread);
}
