import { TierwiseError } from '@tierwise/core';
import {
  type Context,
  type Manifest,
  type Plan,
  type Port,
  type Profile,
  type Section,
  strategies,
} from '@tierwise/plan';
import type { Runtime } from '@tierwise/runtime';
import { type Audit, createAudit } from './audit.ts';

/** A section that clients can ask for by name, and the Plan that it is part of. */
export interface ServedModel {
  readonly name: string;
  /** The first 8 digits of the network's digest, which are in the ids of its Plans, too. */
  readonly version: string;
  readonly manifest: Manifest;
  /** Has the section, or loads it when it is first asked to. */
  readonly runtime: Runtime;
  readonly plan: Plan;
  readonly section: Section;
  readonly inputs: readonly Port[];
  /** The scores of the exit that answers, [1, classes]. */
  readonly scores: Port;
  readonly stats: ModelStats;
  readonly audit: Audit;
}

/** What happened to a model since the edge started. Times are sums over samples. */
export interface ModelStats {
  requests: number;
  failures: number;
  samples: number;
  queueMs: number;
  computeMs: number;
  requestMs: number;
  /** Milliseconds since 1970, 0 before the first. */
  lastRequest: number;
}

/** Id of this place in every Plan. */
export const edgePlaceId = 'edge';

// An edge executes what Plans say; the predictions in its own copies of them are read by nobody.
const profile: Profile = { deviceFlopsPerSecond: 1, edgeFlopsPerSecond: 1 };
const context: Context = {
  uplinkBitsPerSecond: 1,
  downlinkBitsPerSecond: 1,
  roundTripMs: 0,
  edge: true,
  resident: [],
};

/**
 * What a bundle offers: `NAME` takes the network's input (edge-only), `NAME.rest` the stem's output (LcDNN).
 * @throws TierwiseError PLAN_INVALID when the manifest allows no such Plan
 */
export function modelsOf(manifest: Manifest, runtime: Runtime): ServedModel[] {
  const requirement = { objective: 'latency', rawInputMayLeave: true } as const;
  return (['edge-only', 'lcdnn'] as const).map((name) => {
    const { plan } = strategies[name](manifest, profile, context, requirement);
    const section = plan.sections.find((candidate) => candidate.place === edgePlaceId);
    const exit = plan.exits.find((candidate) => candidate.section === section?.id);
    const scores = section?.outputs.find((port) => port.tensor === exit?.scores);
    if (section === undefined || scores === undefined) {
      throw new TierwiseError('PLAN_INVALID', `Plan ${plan.id} has nothing to do in ${edgePlaceId}`, {
        plan: plan.id,
      });
    }
    return {
      name: section.model,
      version: manifest.main.artifact.digest.slice(0, 8),
      manifest,
      runtime,
      plan,
      section,
      inputs: section.inputs,
      scores,
      stats: { requests: 0, failures: 0, samples: 0, queueMs: 0, computeMs: 0, requestMs: 0, lastRequest: 0 },
      audit: createAudit(manifest.labels.length),
    };
  });
}

/** The manifest as a device gets it: with where artifacts and answers are found on this edge. */
export function servedManifest(manifest: Manifest): Manifest {
  return {
    ...manifest,
    served: { artifacts: '/artifacts/', stream: '/v2/stream', infer: '/v2/models/' },
  };
}
