import { type ErrorCode, type Refuse, type Schema, schema, TierwiseError } from '@tierwise/core';
import { type Plan, PlanSchema } from './contracts.ts';
import { type CodecPolicy, type Manifest, ManifestSchema } from './manifest.ts';

function parse<T>(
  code: ErrorCode,
  form: Schema<T>,
  value: unknown,
  where: string,
  check: (output: T, refuse: Refuse) => void,
): T {
  const refuse: Refuse = (path, problem) => {
    throw new TierwiseError(code, `${where}: ${path === '' ? '' : `${path}: `}${problem}`, { where, path });
  };
  const output = schema.read(form, value, refuse);
  check(output, refuse);
  return output;
}

/**
 * A manifest from outside, checked against the schema and against itself. `where` names the file in messages.
 * @throws TierwiseError MANIFEST_INVALID with the path of the first fault
 */
export function parseManifest(json: unknown, where = 'manifest.json'): Manifest {
  return parse('MANIFEST_INVALID', ManifestSchema, json, where, checkManifest);
}

/**
 * A Plan from outside, checked against the schema and against itself: whatever it names exists in it, links
 * point forward, and each section gets each of its inputs.
 * @throws TierwiseError PLAN_INVALID with the path of the first fault
 */
export function parsePlan(json: unknown, where = 'Plan'): Plan {
  return parse('PLAN_INVALID', PlanSchema, json, where, checkPlan);
}

function checkCodec(codec: CodecPolicy, path: string, refuse: Refuse): void {
  if (codec.kind === 'packed' && codec.lo >= codec.hi) {
    refuse(path, `lo (${codec.lo}) must be below hi (${codec.hi})`);
  }
}

function checkManifest(manifest: Manifest, refuse: Refuse): void {
  const { preprocess, input, stem, branch, main, labels, codec } = manifest;
  const wanted = [1, preprocess.channels, preprocess.height, preprocess.width];
  if (`${input.dims}` !== `${wanted}`) {
    refuse('input.dims', `[${input.dims}] differs from what preprocess makes, [${wanted}]`);
  }
  for (const key of ['mean', 'std'] as const) {
    const { length } = preprocess[key];
    if (length !== 1 && length !== preprocess.channels) {
      refuse(`preprocess.${key}`, `${length} values for ${preprocess.channels} channels`);
    }
  }
  if (stem.dims[0] !== 1) refuse('stem.dims', `[${stem.dims}] must begin with a batch of 1`);
  for (const [key, { scores }] of Object.entries({ branch, main })) {
    if (`${scores.dims}` !== `${[1, labels.length]}`) {
      refuse(
        `${key}.scores.dims`,
        `[${scores.dims}] must be [1,${labels.length}]: there are ${labels.length} labels`,
      );
    }
  }
  const tensors = [input, stem, branch.scores, main.scores].map((port) => port.tensor);
  if (new Set(tensors).size < tensors.length) {
    refuse('', `input, stem and both scores must be four different tensors, not ${tensors.join(', ')}`);
  }
  if (branch.artifact.file === main.artifact.file) {
    refuse('main.artifact.file', `${main.artifact.file} is the branch's file too`);
  }
  checkCodec(codec, 'codec', refuse);
}

function checkPlan(plan: Plan, refuse: Refuse): void {
  const places = new Set(plan.places.map((place) => place.id));
  if (places.size < plan.places.length) refuse('places', 'two places have one id');
  const order = new Map(plan.sections.map((section, i) => [section.id, i]));
  if (order.size < plan.sections.length) refuse('sections', 'two sections have one id');
  for (const [i, section] of plan.sections.entries()) {
    if (!places.has(section.place)) refuse(`sections.${i}.place`, `there is no place ${section.place}`);
    for (const { tensor } of section.inputs) {
      if (!plan.links.some((link) => link.to === section.id && link.tensors.includes(tensor))) {
        refuse(`sections.${i}.inputs`, `no link brings ${tensor}`);
      }
    }
  }
  checkExits(plan, refuse);
  checkLinks(plan, order, refuse);
}

function checkExits({ exits, sections }: Plan, refuse: Refuse): void {
  if (new Set(exits.map((exit) => exit.id)).size < exits.length) refuse('exits', 'two exits have one id');
  for (const [i, exit] of exits.entries()) {
    const section = sections.find((candidate) => candidate.id === exit.section);
    if (section === undefined) refuse(`exits.${i}.section`, `there is no section ${exit.section}`);
    if (!section.outputs.some((port) => port.tensor === exit.scores)) {
      refuse(`exits.${i}.scores`, `section ${section.id} does not give ${exit.scores}`);
    }
  }
  if (!exits.some((exit) => exit.policy.kind === 'end')) refuse('exits', 'no exit always answers');
}

function checkLinks(
  { exits, links, sections }: Plan,
  order: ReadonlyMap<string, number>,
  refuse: Refuse,
): void {
  for (const [i, link] of links.entries()) {
    const { when } = link;
    const from = link.from === 'input' ? -1 : (order.get(link.from) ?? Number.NaN);
    const to = order.get(link.to) ?? Number.NaN;
    if (!(from < to)) refuse(`links.${i}`, `${link.from} to ${link.to} does not point forward to a section`);
    const gives = sections[from]?.outputs.map((port) => port.tensor);
    const takes = sections[to]!.inputs.map((port) => port.tensor);
    for (const name of link.tensors) {
      if (gives?.includes(name) === false) refuse(`links.${i}.tensors`, `${link.from} does not give ${name}`);
      if (!takes.includes(name)) refuse(`links.${i}.tensors`, `${link.to} does not take ${name}`);
    }
    if (when.kind === 'exitNotTaken') {
      const exit = exits.find((candidate) => candidate.id === when.exit);
      if (exit === undefined || order.get(exit.section)! >= to) {
        refuse(`links.${i}.when.exit`, `${when.exit} is not an exit before ${link.to}`);
      }
    }
    checkCodec(link.codec, `links.${i}.codec`, refuse);
  }
}
