import { TierwiseError } from '@tierwise/core';
import type { BranchDesign } from './design.ts';
import { modern } from './modern.ts';
import type { BranchRecipe } from './recipe.ts';
import { xnor } from './xnor.ts';

export { type BranchBlock, type BranchDesign, depthwiseDesign, freeDesign } from './design.ts';
export type { BranchRecipe } from './recipe.ts';

/** Recipes by the name that `--recipe` takes. */
export const recipes = { xnor, modern } as const satisfies Record<string, BranchRecipe>;

/** A key of `recipes`. */
export type RecipeName = keyof typeof recipes;

/** Which branch a composite has. */
export interface BranchChoice {
  readonly recipe: RecipeName;
  readonly design: BranchDesign;
}

/**
 * The recipe that was asked for, or where none was the one that does better with `design` as measured (README, Figures):
 * the modern one where shortcuts go around its convolutions, else the paper's.
 * @throws TierwiseError USAGE for a name that is not there
 */
export function recipeFor(design: BranchDesign, name: string | undefined): RecipeName {
  if (name === undefined) return design.blocks.some(({ shortcut }) => shortcut) ? 'modern' : 'xnor';
  findRecipe(name);
  return name as RecipeName;
}

/** @throws TierwiseError USAGE for a name that is not there */
export function findRecipe(name: string): BranchRecipe {
  if (Object.hasOwn(recipes, name)) return recipes[name as RecipeName];
  throw new TierwiseError(
    'USAGE',
    `there is no branch recipe "${name}"; there are: ${Object.keys(recipes).join(', ')}`,
    { name },
  );
}
