import { type Tensor, TierwiseError, toTierwiseError } from '@tierwise/core';
import type { Link, LoadedSection, Plan, RunTimings, Section } from '@tierwise/plan';
import { abortError } from './abort.ts';
import { type JudgedExit, judge } from './exits.ts';
import type { Degraded, Outcome, PathStep, Sent } from './outcome.ts';
import type { Policies } from './policies.ts';
import type { Transport } from './transport.ts';

/** The place that executes. */
export interface Host {
  readonly place: string;
  readonly load: (section: Section, signal?: AbortSignal) => Promise<LoadedSection>;
  readonly send: Transport | undefined;
  /** Wall clock in ms; only differences count. */
  readonly now: () => number;
}

/** What is known of a sample when execution begins. */
export interface Start {
  /** Tensors by source: a section's id, or `input`. */
  readonly values: ReadonlyMap<string, ReadonlyMap<string, Tensor>>;
  /** Exits that were judged elsewhere and not taken. */
  readonly passed: readonly string[];
  /** The first section to consider, an index of `plan.sections`. */
  readonly first: number;
}

/**
 * Runs the sections of this place in order until an exit is taken or a link leaves the place; in the second case
 * everything that follows happens there, and its reply is the answer. When that fails, the deepest exit judged
 * here answers, marked as degraded; a caller's abort and a disposal are never answered so.
 * @throws TierwiseError what engines throw; TENSOR_INVALID on scores that are not finite; what the transport
 *   throws when no exit was judged; PLAN_INVALID when the Plan ends without an answer
 */
export async function execute(
  plan: Plan,
  start: Start,
  host: Host,
  policies: Policies,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  const values = new Map(start.values);
  const passed = new Set(start.passed);
  const judged: JudgedExit[] = [];
  const path: PathStep[] = [];

  for (const section of plan.sections.slice(start.first)) {
    const links = plan.links.filter(
      ({ to, from, when }) =>
        to === section.id && values.has(from) && (when.kind === 'always' || passed.has(when.exit)),
    );
    if (links.length === 0) continue;
    const inputs = gather(section, links, values);

    if (section.place !== host.place) {
      return finishElsewhere(plan, section, inputs, links, { host, policies, signal, judged, path });
    }
    const { outputs, step } = await runHere(section, inputs, host, signal);
    path.push(step);
    values.set(section.id, outputs);
    for (const exit of plan.exits.filter((candidate) => candidate.section === section.id)) {
      const verdict = judge(plan, exit, outputs, policies.threshold);
      judged.push(verdict);
      if (verdict.taken) return outcome(plan, judged, verdict, path);
      passed.add(exit.id);
    }
  }
  throw new TierwiseError('PLAN_INVALID', `Plan ${plan.id} ends in ${host.place} without an answer`, {
    plan: plan.id,
  });
}

function gather(
  section: Section,
  links: readonly Link[],
  values: ReadonlyMap<string, ReadonlyMap<string, Tensor>>,
): Map<string, Tensor> {
  const inputs = new Map<string, Tensor>();
  for (const link of links) {
    for (const name of link.tensors) {
      const value = values.get(link.from)?.get(name);
      if (value !== undefined) inputs.set(name, value);
    }
  }
  for (const port of section.inputs) {
    if (!inputs.has(port.tensor)) {
      throw new TierwiseError(
        'PLAN_INVALID',
        `section ${section.id}: nothing brings its input ${port.tensor}`,
        {
          section: section.id,
          tensor: port.tensor,
        },
      );
    }
  }
  return inputs;
}

async function runHere(
  section: Section,
  inputs: ReadonlyMap<string, Tensor>,
  { load, now }: Host,
  signal: AbortSignal | undefined,
): Promise<{ outputs: Map<string, Tensor>; step: PathStep }> {
  const loaded = await load(section, signal);
  const asked = now();
  let timings: RunTimings | undefined;
  const outputs = await loaded.run(inputs, {
    signal,
    onTimings: (reported) => {
      timings = reported;
    },
  });
  const step = {
    place: section.place,
    section: section.id,
    ...(timings ?? { queueMs: 0, computeMs: now() - asked }),
    uplinkBytes: 0,
    downlinkBytes: 0,
    linkMs: 0,
  };
  return { outputs, step };
}

interface SoFar {
  readonly host: Host;
  readonly policies: Policies;
  readonly signal: AbortSignal | undefined;
  readonly judged: readonly JudgedExit[];
  readonly path: readonly PathStep[];
}

async function finishElsewhere(
  plan: Plan,
  section: Section,
  inputs: ReadonlyMap<string, Tensor>,
  links: readonly Link[],
  { host, policies, signal, judged, path }: SoFar,
): Promise<Outcome> {
  let sent: Sent | undefined;
  try {
    if (host.send === undefined) {
      throw new TierwiseError('EDGE_UNREACHABLE', `${host.place} has no link to ${section.place}`, {
        section: section.id,
      });
    }
    const asked = host.now();
    const reply = await host.send({
      plan,
      section,
      inputs,
      links,
      policies,
      judged: judged.at(-1),
      signal,
      onSent: (what) => {
        sent = what;
      },
    });
    const { queueMs, computeMs, uplinkBytes, downlinkBytes } = reply;
    const linkMs = Math.max(0, host.now() - asked - queueMs - computeMs);
    const { place, id } = section;
    const exit = plan.exits.findLast((candidate) => reply.tensors.has(candidate.scores));
    if (exit === undefined) {
      throw new TierwiseError(
        'TENSOR_INVALID',
        `section ${id}: the reply of ${place} holds no exit's scores`,
        {
          section: id,
        },
      );
    }
    const verdict = judge(plan, exit, reply.tensors, policies.threshold);
    const step = { place, section: id, queueMs, computeMs, uplinkBytes, downlinkBytes, linkMs };
    return outcome(plan, [...judged, verdict], verdict, [...path, step], sent);
  } catch (error) {
    if (signal?.aborted) throw abortError(signal);
    const failure = toTierwiseError(error);
    const { code, message } = failure;
    const answer = judged.at(-1);
    if (answer === undefined || code === 'CANCELLED' || code === 'DISPOSED') throw failure;
    return outcome(plan, judged, answer, path, sent, { code, reason: message });
  }
}

function outcome(
  plan: Plan,
  judged: readonly JudgedExit[],
  answer: JudgedExit,
  path: readonly PathStep[],
  sent?: Sent,
  degraded?: Degraded,
): Outcome {
  return {
    first: judged[0]!,
    answer,
    place: plan.sections.find((section) => section.id === answer.exit.section)!.place,
    path,
    sent,
    degraded,
  };
}
