import type { PreprocessSpec } from '@tierwise/core';
import { addBranch, ports } from '../export.ts';
import type { Weights } from '../layers/inference.ts';
import type { CompositeGraph } from '../make.ts';
import { type BranchDesign, freeDesign } from '../recipes/index.ts';
import type { TrainingSettings } from '../settings.ts';
import type { ImportedBackbone } from './import.ts';

const usualDepth = 4;
const [narrowest, widest] = [32, 64];

/** A branch for anybody's stem: it cannot mirror a network that nobody has described, and should not mirror a deep one. */
export function designFor(
  { stemDims }: Pick<ImportedBackbone, 'stemDims'>,
  {
    depth = usualDepth,
    width,
  }: { readonly depth?: number | undefined; readonly width?: number | undefined } = {},
): BranchDesign {
  const filters = Math.min(Math.max(stemDims[1]!, narrowest), widest);
  return freeDesign(stemDims, { depth, width: width ?? filters });
}

/** The composite of `backbone`, whose graph is changed, and the branch that `trainBranch` gave `weights` for. */
export function attachedComposite(
  backbone: ImportedBackbone,
  preprocess: PreprocessSpec,
  settings: TrainingSettings,
  weights: Weights,
): CompositeGraph {
  const { model, stemDims, classes } = backbone;
  const { input, stem, scores } = backbone.ports;
  addBranch(model, settings, weights, { stem: { tensor: stem, dims: stemDims }, classes, smallEnds: true });
  return { model, ports: { input, stem, main: scores, branch: ports.branch }, stemDims, preprocess };
}
