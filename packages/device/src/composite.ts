import { argmax, preprocess, TierwiseError } from '@tierwise/core';
import type { Plan } from '@tierwise/plan';
import { checkThreshold, type Outcome, throwIfAborted } from '@tierwise/runtime';
import type { Answer, ClassifyOptions, Composite, CompositeEvents, LoadOptions, Picture } from './api.ts';
import type { Located } from './bundle.ts';
import type { Events } from './events.ts';
import type { Link, LinkOptions } from './link.ts';
import { toPixels } from './pixels.ts';
import type { Planner, PlanOptions } from './planner.ts';

export interface CompositeParts {
  readonly manifest: Located['manifest'];
  readonly planner: Planner;
  readonly link: Link | undefined;
  readonly events: Events<CompositeEvents>;
  /** What the link is to tell the edge. */
  readonly told: LinkOptions['told'];
  readonly audit: LoadOptions['audit'];
  readonly random: () => number;
}

/** A composite of parts that it owns from here on. `plan` is prepared. */
export function createComposite(
  plan: Plan,
  { manifest, planner, link, events, told, audit, random }: CompositeParts,
): Composite {
  let current = plan;
  let threshold: number | undefined;
  /** Counts calls of `use`: of two at the same time the later one wins. */
  let turn = 0;
  let disposed: Promise<void> | undefined;

  function checkAlive(): void {
    if (disposed !== undefined) throw new TierwiseError('DISPOSED', 'the composite has been disposed');
  }

  async function classify(picture: Picture, options: ClassifyOptions = {}): Promise<Answer> {
    const started = performance.now();
    checkAlive();
    throwIfAborted(options.signal);
    const { timeoutMs } = options;
    if (timeoutMs !== undefined && !(timeoutMs > 0)) {
      throw new TierwiseError('REQUEST_INVALID', `timeoutMs is ${timeoutMs}, not a positive number of ms`);
    }
    const running = current;
    const input = preprocess(toPixels(picture), manifest.preprocess);
    const outcome = await planner.runtime.run(running, input, {
      signal: options.signal,
      policies: { threshold: options.threshold ?? threshold, timeoutMs },
    });
    const answer = toAnswer(running, outcome, started);
    const { degraded } = answer;
    if (degraded) {
      events.emit('degraded', degraded);
      if (degraded.code === 'ARTIFACT_UNKNOWN') events.emit('outdated', degraded);
    } else if (answer.tier === 'device') {
      told.deviceExits++;
      if (audit && random() < audit.share) {
        // The same sample once more, unsure of it this time. An audit that fails is a sample less.
        const policies = { threshold: 0, auditShare: audit.share };
        planner.runtime.run(running, input, { policies }).catch(() => {});
      }
    }
    return answer;
  }

  function toAnswer({ places }: Plan, outcome: Outcome, started: number): Answer {
    const { first, answer, place, ...rest } = outcome;
    const { probabilities, exit } = answer;
    const { entropy, energy, threshold } = first;
    const { labels, branch, rejection } = manifest;
    const classIndex = argmax(probabilities);
    const here = places.find(({ id }) => id === place)?.tier === 'device';
    // The threshold is one of the branch's scores: of those of the whole network it says nothing.
    const least = first.exit.scores === branch.scores.tensor ? rejection?.energy : undefined;
    return {
      label: labels[classIndex]!,
      classIndex,
      probabilities,
      tier: here ? 'device' : 'edge',
      exit: exit.id,
      entropy,
      threshold,
      energy,
      familiar: least === undefined ? undefined : energy >= least,
      totalMs: performance.now() - started,
      ...rest,
    };
  }

  async function use(strategy: string, options?: PlanOptions): Promise<void> {
    checkAlive();
    const mine = ++turn;
    const made = await planner.make(strategy, options);
    checkAlive();
    if (mine === turn) current = made;
  }

  function dispose(): Promise<void> {
    disposed ??= (async () => {
      link?.close();
      await planner.dispose();
    })();
    return disposed;
  }

  return {
    manifest,
    get plan() {
      return current;
    },
    get edgeState() {
      return link?.state ?? 'none';
    },
    get threshold() {
      const policy = current.exits.map((exit) => exit.policy).find(({ kind }) => kind === 'entropy');
      return policy?.kind === 'entropy' ? (threshold ?? policy.threshold) : undefined;
    },
    classify,
    use,
    setThreshold(value) {
      checkThreshold(value);
      threshold = value;
    },
    on: events.on,
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
