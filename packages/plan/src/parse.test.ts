import { isTierwiseError } from '@tierwise/core';
import { expect, test } from 'vitest';
import { context, profile, requirement, sampleManifest } from '../test/sample.ts';
import { ManifestSchema } from './manifest.ts';
import { parseManifest, parsePlan } from './parse.ts';
import { strategies } from './plans.ts';

/** The message and code of what `act` throws. */
function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (isTierwiseError(error)) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'accepted';
}

test.each([
  ['served', { served: { artifacts: '../../artifacts/', stream: '/v2/stream' } }],
  ['told to reject', { rejection: { energy: -1.5, knownRejected: 0.05 } }],
  ['older than rejection', {}],
])('a sound manifest, %s, comes out as it went in', (_, changes) => {
  const json = sampleManifest(changes);
  expect(parseManifest(json)).toEqual(json);
});

const artifact = { file: 'x.onnx', digest: 'a'.repeat(64), bytes: 1, engine: 'onnx' };

test.each([
  ['nothing', null, 'null is not an object'],
  ['text', 'tierwise/1', '"tierwise/1" is not an object'],
  ['a newer version', sampleManifest({ format: 'tierwise/2' }), 'format: "tierwise/2" is not "tierwise/1"'],
  ['an older version', sampleManifest({ format: 'tierwise/0' }), 'format: "tierwise/0" is not "tierwise/1"'],
  ['a name with a slash', sampleManifest({ name: 'a/b' }), 'name: "a/b" is not a plain name'],
  ['a name too long for its Plans', sampleManifest({ name: 'a'.repeat(101) }), 'name: '],
  ['one label', sampleManifest({ labels: ['only'] }), 'labels: '],
  ['more labels than scores', sampleManifest({ labels: Array(11).fill('x') }), 'branch.scores.dims: [1,10]'],
  [
    'scores of the main network that differ',
    sampleManifest({ main: { artifact, scores: { tensor: 'm', dims: [1, 9] } } }),
    'main.scores.dims: [1,9]',
  ],
  [
    'an input that is not what preprocess makes',
    sampleManifest({ input: { tensor: 'pixels', dims: [1, 3, 28, 28] } }),
    'input.dims: [1,3,28,28]',
  ],
  [
    'a mean for each of two channels of one',
    sampleManifest({
      preprocess: { channels: 1, height: 28, width: 28, scale: 1, mean: [0, 0], std: [1] },
    }),
    'preprocess.mean: 2 values for 1 channels',
  ],
  [
    'a stem of two samples',
    sampleManifest({ stem: { tensor: 's', dims: [2, 20, 12, 12] } }),
    'stem.dims: [2,20,12,12]',
  ],
  ['a stem without a shape', sampleManifest({ stem: { tensor: 's', dims: [] } }), 'stem.dims: []'],
  [
    'a codec without a range',
    sampleManifest({ codec: { kind: 'packed', bits: 4, lo: 1, hi: 1 } }),
    'codec: lo (1) must be below hi (1)',
  ],
  ['7 bits', sampleManifest({ codec: { kind: 'packed', bits: 7, lo: 0, hi: 1 } }), 'codec.bits: '],
  [
    'a range that is not a number',
    sampleManifest({ codec: { kind: 'packed', bits: 4, lo: Number.NaN, hi: 1 } }),
    'codec.lo: ',
  ],
  ['a threshold of 2', sampleManifest({ exit: { kind: 'entropy', threshold: 2 } }), 'exit.threshold: '],
  [
    'a rejection without an energy',
    sampleManifest({ rejection: { knownRejected: 0.05 } }),
    'rejection.energy: is missing',
  ],
  [
    'an energy that is not a number',
    sampleManifest({ rejection: { energy: Number.NEGATIVE_INFINITY, knownRejected: 0 } }),
    'rejection.energy: -Infinity is not a number',
  ],
  [
    'more rejected than there are',
    sampleManifest({ rejection: { energy: 1, knownRejected: 5 } }),
    'rejection.knownRejected: 5 is not at most 1',
  ],
  [
    'one tensor in two roles',
    sampleManifest({ stem: { tensor: 'pixels', dims: [1, 20, 12, 12] } }),
    'four different tensors',
  ],
  [
    'a path that leaves the folder',
    sampleManifest({
      main: { artifact: { ...artifact, file: '../x' }, scores: { tensor: 'm', dims: [1, 10] } },
    }),
    'main.artifact.file: "../x" is not a plain name',
  ],
  [
    'one file for both artifacts',
    sampleManifest({
      main: { artifact: { ...artifact, file: 'branch.safetensors' }, scores: { tensor: 'm', dims: [1, 10] } },
    }),
    'main.artifact.file: branch.safetensors',
  ],
  [
    'a digest in capitals',
    sampleManifest({
      main: {
        artifact: { ...artifact, digest: 'A'.repeat(64) },
        scores: { tensor: 'm', dims: [1, 10] },
      },
    }),
    `main.artifact.digest: "${'a'.repeat(60)}" is not 64 lower-case`,
  ],
])('a manifest with %s is refused where the fault is', (_, json, message) => {
  const said = refusal(() => parseManifest(json, 'here/manifest.json'));
  expect(said).toMatch(/^MANIFEST_INVALID here\/manifest\.json: /);
  expect(said.toLowerCase()).toContain(message.toLowerCase());
});

test('docs/manifest.schema.json is what manifests are checked by (write it anew with vitest -u)', async () => {
  const published = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'manifest.json of a Tierwise bundle',
    description:
      'Made from packages/plan/src/manifest.ts, which says what each member means. A manifest also has to agree with itself: shapes, labels and names of tensors.',
    ...ManifestSchema,
  };
  await expect(`${JSON.stringify(published, null, 2)}\n`).toMatchFileSnapshot(
    '../../../docs/manifest.schema.json',
  );
});

const plan = () =>
  structuredClone(strategies.lcdnn(parseManifest(sampleManifest()), profile, context, requirement).plan);

test('every strategy makes a Plan that passes as one from outside', () => {
  for (const strategy of Object.values(strategies)) {
    const made = strategy(parseManifest(sampleManifest()), profile, context, requirement).plan;
    expect(parsePlan(JSON.parse(JSON.stringify(made)))).toEqual(made);
  }
});

test.each<[string, (p: ReturnType<typeof plan>) => void, string]>([
  ['a section in no place', (p) => p.places.pop(), 'sections.1.place: there is no place edge'],
  ['two places of one id', (p) => p.places.push(p.places[0]!), 'places: '],
  ['two sections of one id', (p) => p.sections.push(p.sections[0]!), 'sections: '],
  ['two exits of one id', (p) => p.exits.push(p.exits[0]!), 'exits: '],
  ['no last exit', (p) => p.exits.pop(), 'exits: no exit always answers'],
  [
    'an exit at no section',
    (p) => {
      p.exits[0]!.section = 'gone';
    },
    'exits.0.section: there is no section gone',
  ],
  [
    'an exit whose scores nobody gives',
    (p) => {
      p.exits[0]!.scores = 'main_scores';
    },
    'exits.0.scores: section device does not give main_scores',
  ],
  ['an input that nothing brings', (p) => p.links.pop(), 'sections.1.inputs: no link brings stem'],
  [
    'a link that points back',
    (p) => {
      p.sections.reverse();
    },
    'links.1: device to rest does not point forward',
  ],
  [
    'a link from nowhere',
    (p) => {
      p.links[1]!.from = 'gone';
    },
    'links.1: gone to rest does not point forward',
  ],
  [
    'a link with a tensor its source does not give',
    (p) => {
      p.links[1]!.tensors.push('pixels');
    },
    'links.1.tensors: device does not give pixels',
  ],
  [
    'a link with a tensor its target does not take',
    (p) => {
      p.links[1]!.tensors.push('branch_scores');
    },
    'links.1.tensors: rest does not take branch_scores',
  ],
  [
    'a link that waits for its own end',
    (p) => {
      p.links[1]!.when = { kind: 'exitNotTaken', exit: 'main' };
    },
    'links.1.when.exit: main is not an exit before rest',
  ],
  [
    'a link whose codec has no range',
    (p) => {
      p.links[1]!.codec = { kind: 'packed', bits: 4, lo: 2, hi: 1 };
    },
    'links.1.codec: lo (2)',
  ],
])('a Plan with %s is refused where the fault is', (_, spoil, message) => {
  const spoilt = plan();
  spoil(spoilt);
  expect(refusal(() => parsePlan(spoilt))).toContain(`PLAN_INVALID Plan: ${message}`);
});
