import type { Feature, Layers } from '../layers/layers.ts';
import type { BranchDesign } from './design.ts';

/**
 * Writes a branch: from the stem to its scores [n, classes]. Its layers are named `branch.…`.
 */
export type BranchRecipe = (l: Layers, stem: Feature, classes: number, design: BranchDesign) => Feature;
