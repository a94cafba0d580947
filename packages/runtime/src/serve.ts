import { type Tensor, TierwiseError } from '@tierwise/core';
import type { Plan } from '@tierwise/plan';
import type { Outcome } from './outcome.ts';
import { type CallOptions, checkTensor, type Runtime } from './runtime.ts';

/**
 * Goes on with a sample at `section` of the runtime's place, as though the places before had run: `inputs` holds each of
 * the section's inputs by name, float32, unpacked. This is how an edge answers a request; pages do not load it.
 * @throws as `run` of the runtime does
 */
export async function serve(
  runtime: Runtime,
  plan: Plan,
  section: string,
  inputs: ReadonlyMap<string, Tensor>,
  options: CallOptions = {},
): Promise<Outcome> {
  const { place } = runtime;
  const first = plan.sections.findIndex(({ id, place: at }) => id === section && at === place);
  const found = plan.sections[first];
  if (found === undefined) {
    throw new TierwiseError('PLAN_INVALID', `Plan ${plan.id} has no section ${section} in ${place}`, {
      plan: plan.id,
      section,
    });
  }
  for (const port of found.inputs) checkTensor(port, inputs.get(port.tensor));
  const links = plan.links.filter((link) => link.to === section);
  const values = new Map(links.map((link) => [link.from, inputs]));
  const passed = links.flatMap(({ when }) => (when.kind === 'exitNotTaken' ? [when.exit] : []));
  return runtime.resume(plan, { values, passed, first }, options);
}
