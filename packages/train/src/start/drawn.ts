import { elementCount, random } from '@tierwise/core';
import type { Parameter, Statistic } from '../layers/training.ts';
import { purpose } from '../training/batches.ts';

/** Values that parameters and running statistics start with, by name. */
export type StartingValues = Map<string, Float32Array<ArrayBuffer>>;

/**
 * Values that parameters and running statistics start with, each parameter's from a stream of its own. A branch that
 * is trained alone has other streams than the network that was trained before it.
 */
export function startingValues(
  layers: { readonly parameters: readonly Parameter[]; readonly statistics: readonly Statistic[] },
  seed: number,
  of: 'parameters' | 'branch' = 'parameters',
): StartingValues {
  const values: StartingValues = new Map(
    layers.parameters.map((parameter, i) => [parameter.name, parameter.init(random(seed, purpose[of], i))]),
  );
  for (const { name, dims, start } of layers.statistics)
    values.set(name, new Float32Array(elementCount(dims)).fill(start));
  return values;
}
