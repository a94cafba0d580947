import { TierwiseError } from '@tierwise/core';
import {
  type Arrival,
  type Context,
  type Digest,
  type Engine,
  lcdnn,
  type Plan,
  type Profile,
  type Strategy,
} from '@tierwise/plan';
import { createRuntime, type Runtime, type Transport, throwIfAborted } from '@tierwise/runtime';
import type { Progress } from './api.ts';
import { type ArtifactFetch, fetchArtifact, type Located } from './bundle.ts';

/** What is assumed until it has been measured: a phone's one core, a server's one core, and 4G (DADS, Table I). */
const assumedProfile: Profile = { deviceFlopsPerSecond: 2e9, edgeFlopsPerSecond: 2e10 };
const assumedContext = { uplinkBitsPerSecond: 5.85e6, downlinkBitsPerSecond: 13.76e6, roundTripMs: 50 };

export interface PlannerOptions {
  readonly located: Located;
  readonly engines: readonly Engine[];
  /** Beside `lcdnn`, by name. */
  readonly strategies: Readonly<Record<string, Strategy>>;
  readonly fetch: ArtifactFetch;
  readonly rawInputMayLeave: boolean;
  /** Carries samples to the edge; undefined when there is none. */
  readonly send: Transport | undefined;
}

export interface PlanOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** Makes Plans for one bundle and prepares this device for them. */
export interface Planner {
  readonly runtime: Runtime;
  /**
   * The Plan of `strategy`, with every artifact that it needs here fetched, checked and loaded.
   * @throws TierwiseError PLAN_INVALID, ENGINE_MISSING (before anything is fetched), what fetching and loading throw
   */
  make(strategy: string, options?: PlanOptions): Promise<Plan>;
  /** Ends downloads with DISPOSED, then disposes the runtime. Idempotent. */
  dispose(): Promise<void>;
}

export function createPlanner(options: PlannerOptions): Planner {
  const { located, engines, fetch, rawInputMayLeave, send } = options;
  const strategies: PlannerOptions['strategies'] = { lcdnn, ...options.strategies };
  /** How the artifacts of Plans that are being made are fetched; engines keep what they need of them. */
  const sources = new Map<Digest, () => Arrival>();
  const resident = new Set<Digest>();
  const downloads = new Set<AbortController>();
  const runtime = createRuntime({
    place: 'device',
    engines,
    send,
    now: () => performance.now(),
    // What a Plan needs here and is not wanted any more has been loaded.
    artifact: async (digest) => sources.get(digest)!(),
  });

  function plan(strategy: Strategy) {
    const context: Context = { ...assumedContext, edge: send !== undefined, resident: [...resident] };
    const requirement = { objective: 'latency', rawInputMayLeave } as const;
    return strategy(located.manifest, assumedProfile, context, requirement);
  }

  async function make(strategy: string, { signal, onProgress }: PlanOptions = {}): Promise<Plan> {
    throwIfAborted(signal);
    if (!Object.hasOwn(strategies, strategy)) {
      const known = Object.keys(strategies).join(', ');
      throw new TierwiseError('PLAN_INVALID', `no strategy "${strategy}" was given to load, but ${known}`, {
        strategy,
      });
    }
    const made = plan(strategies[strategy]!);
    const wanted = made.wants.map((want) => want.artifact);
    const download = new AbortController();
    const cancel = () => download.abort(signal?.reason);
    signal?.addEventListener('abort', cancel);
    downloads.add(download);
    try {
      const totalBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0);
      let loadedBytes = 0;
      for (const artifact of wanted) {
        const { file, digest } = artifact;
        let before = 0;
        const onBytes = (loaded: number) => {
          loadedBytes += loaded - before;
          before = loaded;
          onProgress?.({ file, loadedBytes, totalBytes });
        };
        let arrival: Arrival | undefined;
        sources.set(digest, () => {
          onBytes(0);
          arrival ??= fetchArtifact(located, artifact, { fetch, signal: download.signal, onBytes });
          return arrival;
        });
      }
      await runtime.prepare(made.plan, { signal });
    } finally {
      downloads.delete(download);
      signal?.removeEventListener('abort', cancel);
      for (const { digest } of wanted) sources.delete(digest);
    }
    for (const { digest } of wanted) resident.add(digest);
    return made.plan;
  }

  return {
    runtime,
    make,
    async dispose() {
      const error = new TierwiseError('DISPOSED', 'the composite has been disposed');
      for (const download of downloads) download.abort(error);
      await runtime.dispose();
    },
  };
}
