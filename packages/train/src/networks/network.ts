import type { Composite, Feature, Layers } from '../layers/layers.ts';

/** A composite network that can be trained from scratch. */
export interface Network {
  readonly name: string;
  /** Size of the pictures it takes. */
  readonly input: { readonly channels: 1 | 3; readonly height: number; readonly width: number };
  /** Layers of the branch that compute real scores: after the last sign. Their weights may be kept in float16. */
  readonly branchEnds: readonly string[];
  build(layers: Layers, pixels: Feature, classes: number): Composite;
}
