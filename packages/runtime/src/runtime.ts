import { type Tensor, TierwiseError } from '@tierwise/core';
import type { Engine, LoadedSection, Plan, Port } from '@tierwise/plan';
import { orAborted, throwIfAborted } from './abort.ts';
import { execute, type Host, type Start } from './execute.ts';
import type { Outcome } from './outcome.ts';
import type { Policies } from './policies.ts';
import { type ArtifactSource, createSections } from './sections.ts';
import type { Transport } from './transport.ts';

/** The place that a runtime is, and what it works with there. */
export interface RuntimeOptions {
  /** Id of the place that this runtime is, as Plans name it. */
  readonly place: string;
  readonly engines: readonly Engine[];
  readonly artifact: ArtifactSource;
  /** Carries samples to the next place; without it every link that leaves is unreachable. */
  readonly send?: Transport | undefined;
  /** Wall clock in ms; only differences count. */
  readonly now: () => number;
}

/** What holds for one sample only. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly policies?: Policies | undefined;
}

/** Executes the sections of any Plan that belong to one place, one sample a call, any number of calls at once. */
export interface Runtime {
  /** The place that it is. */
  readonly place: string;
  /**
   * Loads every section of this place, so that the first sample waits for nothing.
   * @throws TierwiseError ENGINE_MISSING, DIGEST_MISMATCH, DISPOSED, CANCELLED, or what artifact source and engine throw
   */
  prepare(plan: Plan, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /**
   * One sample through the Plan, `input` being its input tensor (float32, batch 1) at this place.
   * @throws TierwiseError TENSOR_INVALID, PLAN_INVALID, CANCELLED, DISPOSED; what prepare throws; what the
   *   transport throws when no exit of this place can answer instead
   */
  run(plan: Plan, input: Tensor, options?: CallOptions): Promise<Outcome>;
  /**
   * Goes on with a sample that places before this one began: `start` says with what and where.
   * @throws as `run` does
   */
  resume(plan: Plan, start: Start, options?: CallOptions): Promise<Outcome>;
  /** Refuses new calls, waits for those under way, frees every section. Idempotent. */
  dispose(): Promise<void>;
}

/** A runtime for one place; it holds nothing until a section is prepared or runs. */
export function createRuntime({ place, engines, artifact, send, now }: RuntimeOptions): Runtime {
  const sections = createSections(engines, artifact);
  const host: Host = { place, send, now, load: (section, signal) => sections.load(section, signal) };
  const underWay = new Set<Promise<unknown>>();
  let disposed: Promise<void> | undefined;

  /** Starts `work` unless disposed or aborted, and lets `dispose` wait for it. */
  async function enter<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (disposed !== undefined)
      throw new TierwiseError('DISPOSED', `the runtime of ${place} has been disposed`);
    throwIfAborted(signal);
    const running = work();
    underWay.add(running);
    try {
      return await orAborted(running, signal);
    } finally {
      running.catch(() => {}).finally(() => underWay.delete(running));
    }
  }

  function start(plan: Plan, from: Start, { signal, policies = {} }: CallOptions): Promise<Outcome> {
    const { threshold } = policies;
    if (threshold !== undefined) checkThreshold(threshold);
    return execute(plan, from, host, policies, signal);
  }

  return {
    place,
    prepare: (plan, { signal } = {}) =>
      enter(signal, async () => {
        const own = plan.sections.filter((section) => section.place === place);
        await Promise.all(own.map((section): Promise<LoadedSection> => sections.load(section, signal)));
      }),

    run: (plan, input, options = {}) =>
      enter(options.signal, async () => {
        const inputs = new Map<string, Tensor>();
        for (const link of plan.links.filter(({ from }) => from === 'input')) {
          const section = plan.sections.find(({ id }) => id === link.to);
          for (const name of link.tensors) {
            inputs.set(
              name,
              checkTensor(
                section?.inputs.find((port) => port.tensor === name),
                input,
              ),
            );
          }
        }
        return start(plan, { values: new Map([['input', inputs]]), passed: [], first: 0 }, options);
      }),

    resume: (plan, from, options = {}) => enter(options.signal, () => start(plan, from, options)),

    dispose() {
      disposed ??= (async () => {
        await Promise.allSettled(underWay);
        await sections.dispose();
      })();
      return disposed;
    },
  };
}

/** @throws TierwiseError PLAN_INVALID unless `threshold` is a number in 0..1.01 */
export function checkThreshold(threshold: number): void {
  if (!(threshold >= 0 && threshold <= 1.01)) {
    throw new TierwiseError(
      'PLAN_INVALID',
      `an exit threshold is a number from 0 to 1.01, not ${threshold}`,
      {
        threshold,
      },
    );
  }
}

/** A tensor as `port` wants it: float32, its dims, finite values. */
export function checkTensor(port: Port | undefined, found: Tensor | undefined): Tensor {
  const refuse = (problem: string): TierwiseError =>
    new TierwiseError('TENSOR_INVALID', `input ${port?.tensor} ${problem}`, { tensor: port?.tensor });
  if (found === undefined) throw refuse('is missing');
  const { data, dims, dtype } = found;
  if (!(data instanceof Float32Array) || `${dims}` !== `${port?.dims}`) {
    throw refuse(`is ${dtype} [${dims}], not float32 [${port?.dims}]`);
  }
  // A loop and no `findIndex`: an edge does this for every value of every request.
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) throw refuse(`holds ${data[i]} at element ${i}`);
  }
  return found;
}
