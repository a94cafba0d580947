import fc from 'fast-check';
import { expect, test } from 'vitest';
import { context, profile, requirement, sampleManifest } from '../test/sample.ts';
import { encodedBytes, transferMs } from './cost.ts';
import { parseManifest } from './parse.ts';
import { strategies } from './plans.ts';

const model = parseManifest(sampleManifest());

test('LcDNN sends the packed stem only when the branch is unsure', () => {
  const { plan, wants } = strategies.lcdnn(model, profile, context, requirement);
  expect(plan.id).toBe('lcdnn:lenet:01234567');
  expect(plan.sections.map(({ place, engine, model }) => [place, engine, model])).toEqual([
    ['device', 'binary', 'lenet.branch'],
    ['edge', 'onnx', 'lenet.rest'],
  ]);
  const crossing = plan.links.find((link) => link.to === 'rest');
  expect(crossing).toMatchObject({
    tensors: ['stem'],
    codec: model.codec,
    when: { kind: 'exitNotTaken', exit: 'branch' },
  });
  expect(plan.exits.map((exit) => [exit.id, exit.policy.kind])).toEqual([
    ['branch', 'entropy'],
    ['main', 'end'],
  ]);
  expect(wants).toEqual([{ place: 'device', artifact: model.branch.artifact }]);
});

test('the cost of a sample by hand: LeNet over 1 Mbit/s up, 4 Mbit/s down, 50 ms', () => {
  const { predicted } = strategies.lcdnn(model, profile, context, requirement).plan;
  // 2,880 values at 4 bits are 1,440 bytes: 11.52 ms up; 40 bytes of scores: 0.08 ms down; 25 ms each way.
  expect(predicted.uplinkBytes).toBe(1440);
  expect(predicted.deviceMs).toBeCloseTo(2);
  expect(predicted.linkMs).toBeCloseTo(61.6);
  expect(predicted.edgeMs).toBeCloseTo(0.5);
  expect(predicted.latencyMs).toBeCloseTo(2 + 0.1 * 62.1);
  expect(predicted).toMatchObject({ exitRate: 0.9, downloadBytes: 82_000 });
});

test('what was measured here counts before what the bundle says', () => {
  const measured = { ...profile, exitRate: 0.5, packedStemBytes: 700 };
  const { predicted } = strategies.lcdnn(model, measured, context, requirement).plan;
  expect(predicted).toMatchObject({ exitRate: 0.5, uplinkBytes: 700 });
});

test('without an edge LcDNN keeps its Plan and expects the branch to answer everything', () => {
  const { plan } = strategies.lcdnn(model, profile, { ...context, edge: false }, requirement);
  expect(plan.sections).toHaveLength(2);
  expect(plan.predicted).toMatchObject({ exitRate: 1, linkMs: 0, edgeMs: 0, uplinkBytes: 0, latencyMs: 2 });
});

test('device-only fetches the whole network and sends nothing', () => {
  const { plan, wants } = strategies['device-only'](
    model,
    profile,
    { ...context, edge: false },
    { ...requirement, rawInputMayLeave: false },
  );
  expect(wants.map((want) => want.artifact.file)).toEqual(['model.onnx']);
  expect(plan.places.map((place) => place.tier)).toEqual(['device']);
  expect(plan.predicted).toMatchObject({
    latencyMs: 4.5,
    linkMs: 0,
    uplinkBytes: 0,
    downloadBytes: 1_724_000,
  });
});

test('an artifact that is resident costs no download', () => {
  const resident = [model.branch.artifact.digest, model.main.artifact.digest];
  for (const strategy of Object.values(strategies)) {
    const { plan, wants } = strategy(model, profile, { ...context, resident }, requirement);
    expect([plan.predicted.downloadBytes, wants]).toEqual([0, []]);
  }
});

test('edge-only sends each pixel as one byte and fetches nothing', () => {
  const { plan, wants } = strategies['edge-only'](model, profile, context, requirement);
  expect(wants).toEqual([]);
  expect(plan.links).toEqual([
    {
      from: 'input',
      to: 'edge',
      tensors: ['pixels'],
      codec: { kind: 'packed', bits: 8, lo: 0, hi: 255 },
      when: { kind: 'always' },
    },
  ]);
  expect(plan.predicted).toMatchObject({ deviceMs: 0, uplinkBytes: 784, exitRate: 0 });
});

test('edge-only keeps pixels exact in the units of a normalised input', () => {
  const normalised = {
    ...model,
    preprocess: { ...model.preprocess, scale: 1 / 255, mean: [0.5], std: [0.25] },
  };
  const { plan } = strategies['edge-only'](normalised, profile, context, requirement);
  expect(plan.links[0]!.codec).toEqual({ kind: 'packed', bits: 8, lo: -2, hi: 2 });
});

test('edge-only is refused when the picture may not leave, and when there is no edge', () => {
  const plan = (edge: boolean, rawInputMayLeave: boolean) => () =>
    strategies['edge-only'](model, profile, { ...context, edge }, { ...requirement, rawInputMayLeave });
  expect(plan(true, false)).toThrow(expect.objectContaining({ code: 'PLAN_INVALID' }));
  expect(plan(true, false)).toThrow(/picture/);
  expect(plan(false, true)).toThrow(/no.*edge|none can be reached/);
});

test('plans are a pure function of their arguments, and a faster link is never slower', () => {
  const rate = fc.double({ min: 1e3, max: 1e9, noNaN: true });
  fc.assert(
    fc.property(rate, rate, fc.constantFrom(...Object.values(strategies)), (a, b, strategy) => {
      const at = (uplinkBitsPerSecond: number) =>
        strategy(model, profile, { ...context, uplinkBitsPerSecond }, requirement).plan;
      expect(at(a)).toEqual(at(a));
      expect(at(Math.max(a, b)).predicted.latencyMs).toBeLessThanOrEqual(
        at(Math.min(a, b)).predicted.latencyMs,
      );
    }),
  );
});

test('bytes of a tensor are whole even when its bits are not', () => {
  expect(encodedBytes({ tensor: 't', dims: [1, 3] }, { kind: 'packed', bits: 3, lo: 0, hi: 1 })).toBe(2);
  expect(encodedBytes({ tensor: 't', dims: [1, 3] }, { kind: 'raw' })).toBe(12);
  expect(transferMs(125_000, 1e6, 100)).toBe(1050);
});
