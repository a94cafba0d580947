import type { Context, Place, Plan, Profile, Requirement, Section, StrategyName } from './contracts.ts';
import type { Artifact, CodecPolicy, Manifest } from './manifest.ts';

/** An artifact that the Plan needs at `place` and that the context does not list as resident. */
export interface Want {
  readonly place: string;
  readonly artifact: Artifact;
}

/** What a strategy gives: a Plan that can run now, and what would make a better one possible. */
export interface Planned {
  readonly plan: Plan;
  readonly wants: readonly Want[];
}

/**
 * Makes the Plan of one published system for one model. Pure: equal arguments give equal Plans.
 * @throws TierwiseError PLAN_INVALID when the requirement or the context rules the system out
 */
export type Strategy = (
  model: Manifest,
  profile: Profile,
  context: Context,
  requirement: Requirement,
) => Planned;

export const devicePlace: Place = { id: 'device', tier: 'device' };
export const edgePlace: Place = { id: 'edge', tier: 'edge' };

/** The same Plan has the same id wherever it is made: strategy, model, and 8 digits of the whole network's digest. */
export function planId(strategy: StrategyName, model: Manifest): string {
  return `${strategy}:${model.name}:${model.main.artifact.digest.slice(0, 8)}`;
}

/** What a device still has to fetch before it can run `artifact`. */
export function wanted(artifact: Artifact, context: Context): Want[] {
  return context.resident.includes(artifact.digest) ? [] : [{ place: devicePlace.id, artifact }];
}

/** The whole network at `place`, from the input to the scores. */
export function wholeNetwork(model: Manifest, place: Place): Section {
  return {
    id: place.id,
    place: place.id,
    engine: model.main.artifact.engine,
    artifact: model.main.artifact.digest,
    inputs: [model.input],
    outputs: [model.main.scores],
    model: model.name,
  };
}

/**
 * How the input crosses a link: 8 bits over the range that pixels 0..255 take in the input's units. Lossless for
 * whole-number pixels when all channels share mean and std, because each code is then one pixel value.
 */
export function inputCodec({ preprocess: { scale, mean, std } }: Manifest): CodecPolicy {
  const channels = Array.from({ length: Math.max(mean.length, std.length) }, (_, c) => ({
    mean: mean[mean.length === 1 ? 0 : c]!,
    std: std[std.length === 1 ? 0 : c]!,
  }));
  return {
    kind: 'packed',
    bits: 8,
    lo: Math.min(...channels.map((channel) => (0 - channel.mean) / channel.std)),
    hi: Math.max(...channels.map((channel) => (255 * scale - channel.mean) / channel.std)),
  };
}
