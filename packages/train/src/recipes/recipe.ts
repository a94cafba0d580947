import type { Feature, Layers } from '../layers/layers.ts';
import type { BranchDesign } from './design.ts';

/**
 * Writes a branch: from the stem to its scores [n, classes]. Its layers are named `branch.…`; those after the last
 * sign are `branchEnds`.
 */
export type BranchRecipe = (l: Layers, stem: Feature, classes: number, design: BranchDesign) => Feature;

/** Layers of a branch that compute real scores: the device's file holds them in 8 and 16 bits. */
export const branchEnds: ReadonlySet<string> = new Set(['branch.norm', 'branch.fc']);
