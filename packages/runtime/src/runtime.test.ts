import { energyOf, isTierwiseError, normalizedEntropy, softmax, TierwiseError, tensor } from '@tierwise/core';
import { type Plan, parsePlan, strategies } from '@tierwise/plan';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  branchArtifact,
  bytesOf,
  context,
  digestOf,
  framesTo,
  mainArtifact,
  pixels,
  profile,
  requirement,
  store,
  type TinyArtifact,
  tinyEngine,
  tinyManifest,
} from '../test/tiny.ts';
import { requestMessage } from './messages.ts';
import { createRuntime, type RuntimeOptions } from './runtime.ts';
import { serve } from './serve.ts';
import type { Transport, TransportRequest } from './transport.ts';

const model = tinyManifest();
const planOf = (name: keyof typeof strategies, manifest = model) =>
  strategies[name](manifest, profile, context, requirement).plan;
const lcdnn = planOf('lcdnn');

function device(changes: Partial<RuntimeOptions> = {}) {
  return createRuntime({
    place: 'device',
    engines: [tinyEngine('binary'), tinyEngine('onnx')],
    artifact: store(branchArtifact, mainArtifact),
    now: () => performance.now(),
    ...changes,
  });
}
const edge = (changes: Partial<RuntimeOptions> = {}) => device({ place: 'edge', ...changes });

/** Sure of class `a`: scores 10, 0, 0. Unsure: scores near one another. */
const sure = pixels(100, 0, 0, 7);
const unsure = pixels(3, 2, 1, 7);

/** An outcome whose answer is of that exit. */
const by = (exit: string) => ({ answer: { exit: { id: exit } } });

/** A transport that fails, after handing the bytes over or before. */
const failing =
  (error: unknown, sent = false): Transport =>
  async ({ onSent }) => {
    if (sent) onSent({ tensor: 'stem', dims: [1, 1, 2, 2], bytes: 100, rawBytes: 16 });
    throw error;
  };

describe('exits', () => {
  test('a sure sample stays: one step, nothing sent', async () => {
    const outcome = await device().run(lcdnn, sure);
    expect(outcome).toMatchObject({ ...by('branch'), place: 'device' });
    expect([...outcome.answer.scores]).toEqual([10, 0, 0]);
    expect(outcome.answer.probabilities).toEqual(softmax([10, 0, 0]));
    expect(outcome.answer.energy).toBeCloseTo(Math.log(Math.exp(10) + 2), 12);
    expect(outcome.first).toBe(outcome.answer);
    expect(outcome.first.threshold).toBe(0.5);
    expect(outcome.first.entropy).toBeLessThan(0.5);
    expect(outcome.path).toEqual([
      expect.objectContaining({ place: 'device', section: 'device', uplinkBytes: 0, linkMs: 0 }),
    ]);
    expect(outcome.sent).toBeUndefined();
    expect(outcome.degraded).toBeUndefined();
  });

  test('an unsure sample is finished by the edge, which gets the packed stem and nothing else', async () => {
    const outcome = await device({ send: framesTo(edge(), lcdnn) }).run(lcdnn, unsure);
    expect(outcome).toMatchObject({ ...by('main'), place: 'edge' });
    expect([...outcome.answer.scores]).toEqual([2, 1, 3]);
    expect(outcome.answer.entropy).toBe(normalizedEntropy(softmax([2, 1, 3])));
    // What the branch thought is kept.
    expect(outcome.first).toMatchObject({ exit: { id: 'branch' }, threshold: 0.5 });
    expect(outcome.first.entropy).toBeGreaterThan(0.5);
    expect(outcome.first.energy).toBe(energyOf(Float32Array.of(0.3, 0.2, 0.1)));
    expect(outcome.path.map(({ place, section }) => [place, section])).toEqual([
      ['device', 'device'],
      ['edge', 'rest'],
    ]);
    expect(outcome.sent).toMatchObject({ tensor: 'stem', dims: [1, 1, 2, 2], rawBytes: 16 });
    expect(outcome.path[1]!.uplinkBytes).toBeGreaterThan(outcome.sent!.bytes);
    expect(outcome.path[1]!.downlinkBytes).toBeGreaterThan(12);
  });

  test('a sample exits below the threshold, strictly', async () => {
    const { entropy } = (await device().run(lcdnn, sure)).first;
    const send = framesTo(edge(), lcdnn);
    const at = (threshold: number) => device({ send }).run(lcdnn, sure, { policies: { threshold } });
    expect(await at(entropy)).toMatchObject({ ...by('main'), first: { threshold: entropy } });
    expect(await at(entropy + 1e-9)).toMatchObject(by('branch'));
    expect(await at(0)).toMatchObject(by('main'));
    expect(await device().run(lcdnn, unsure, { policies: { threshold: 1.01 } })).toMatchObject(by('branch'));
  });

  test.each([-0.1, 1.02, Number.NaN])('a threshold of %d is refused', async (threshold) => {
    await expect(device().run(lcdnn, sure, { policies: { threshold } })).rejects.toMatchObject({
      code: 'PLAN_INVALID',
    });
  });

  test('the edge learns what was predicted for it and what the branch thought, and whether it is an audit', async () => {
    const requests: TransportRequest[] = [];
    const send: Transport = (request) => {
      requests.push(request);
      return framesTo(edge(), request.plan)(request);
    };
    const first = await device({ send }).run(lcdnn, unsure);
    await device({ send }).run(lcdnn, sure, { policies: { threshold: 0, auditShare: 0.25 } });
    await device({ send }).run(planOf('edge-only'), sure);
    expect(requests.map((request) => requestMessage(request, '1').parameters)).toEqual([
      {
        plan: lcdnn.id,
        section: 'rest',
        predictedMs: lcdnn.predicted.edgeMs,
        entropy: first.first.entropy,
        branchClass: 0,
      },
      expect.objectContaining({ auditShare: 0.25, branchClass: 0, entropy: expect.any(Number) }),
      { plan: planOf('edge-only').id, section: 'edge', predictedMs: expect.any(Number) },
    ]);
  });

  test('the codec can be given for one sample', async () => {
    const bytes = async (policies: object) =>
      (await device({ send: framesTo(edge(), lcdnn) }).run(lcdnn, unsure, { policies })).sent!.bytes;
    // A header of 40 bytes, and then 4 float32 or 8 planes of a byte each.
    expect(await bytes({ codec: { kind: 'raw' } })).toBe(56);
    expect(await bytes({})).toBe(48);
  });
});

describe('split equals whole', () => {
  const pixel = fc.integer({ min: 0, max: 255 });

  test('for every picture the three strategies agree when nothing exits early', async () => {
    const onEdge = edge();
    await fc.assert(
      fc.asyncProperty(pixel, pixel, pixel, pixel, async (...values) => {
        const answers = await Promise.all(
          (['lcdnn', 'device-only', 'edge-only'] as const).map((name) => {
            const plan = planOf(name);
            return device({ send: framesTo(onEdge, plan) }).run(plan, pixels(...values), {
              policies: { threshold: 0 },
            });
          }),
        );
        for (const { answer } of answers) {
          expect(answer.exit.id).toBe('main');
          expect(answer.scores).toEqual(answers[0]!.answer.scores);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('device-only has no exit to judge, so no threshold, and sends nothing', async () => {
    const outcome = await device().run(planOf('device-only'), unsure);
    expect(outcome).toMatchObject({ ...by('main'), place: 'device' });
    expect(outcome.first).toBe(outcome.answer);
    expect(outcome.first.threshold).toBeUndefined();
  });

  test('edge-only sends the input, one byte a pixel before packing', async () => {
    const plan = planOf('edge-only');
    const outcome = await device({ send: framesTo(edge(), plan) }).run(plan, unsure);
    expect(outcome.sent).toMatchObject({ tensor: 'pixels', rawBytes: 16 });
    expect(outcome.path.map((step) => step.place)).toEqual(['edge']);
  });
});

describe('when the other place gives no answer', () => {
  test.each([
    'EDGE_UNREACHABLE',
    'TIMEOUT',
    'OVERLOADED',
    'DRAINING',
    'MODEL_UNKNOWN',
    'FRAME_CORRUPT',
  ] as const)('%s: the branch answers, marked as degraded', async (code) => {
    const outcome = await device({ send: failing(new TierwiseError(code, 'gone')) }).run(lcdnn, unsure);
    expect(outcome).toMatchObject({ place: 'device', degraded: { code, reason: 'gone' } });
    expect(outcome.answer.exit.id).toBe('branch');
    expect(outcome.first).toBe(outcome.answer);
    expect(outcome.path).toHaveLength(1);
    expect(outcome.sent).toBeUndefined();
  });

  test('what was handed to the network counts as sent, answer or not', async () => {
    const send = failing(new TierwiseError('TIMEOUT', 'late'), true);
    expect(await device({ send }).run(lcdnn, unsure)).toMatchObject({
      degraded: { code: 'TIMEOUT' },
      sent: { tensor: 'stem', rawBytes: 16 },
    });
  });

  test('a place without a transport says so', async () => {
    expect(await device().run(lcdnn, unsure)).toMatchObject({ degraded: { code: 'EDGE_UNREACHABLE' } });
  });

  test.each(['CANCELLED', 'DISPOSED'] as const)('%s is thrown, not answered', async (code) => {
    const send = failing(new TierwiseError(code, 'stopped'));
    await expect(device({ send }).run(lcdnn, unsure)).rejects.toMatchObject({ code });
  });

  test('without an exit to fall back on the error is thrown', async () => {
    const send = failing(new TierwiseError('OVERLOADED', 'full'));
    await expect(device({ send }).run(planOf('edge-only'), unsure)).rejects.toMatchObject({
      code: 'OVERLOADED',
    });
  });

  const answering =
    (tensors: Awaited<ReturnType<Transport>>['tensors']): Transport =>
    async () => ({ tensors, queueMs: 0, computeMs: 0, uplinkBytes: 0, downlinkBytes: 0 });
  test.each([
    ['none', new Map(), "section rest: the reply of edge holds no exit's scores"],
    [
      'too few',
      new Map([['main_scores', tensor('float32', [1, 2], Float32Array.of(1, 2))]]),
      'section rest: scores "main_scores" of exit main are float32 [1,2], not float32 [1,3]',
    ],
    [
      'not finite',
      new Map([['main_scores', tensor('float32', [1, 3], Float32Array.of(1, Number.NaN, 2))]]),
      'hold NaN for class 1',
    ],
  ])('a reply whose scores are %s is no answer', async (_, tensors, message) => {
    const outcome = await device({ send: answering(tensors) }).run(lcdnn, unsure);
    expect(outcome).toMatchObject({
      ...by('branch'),
      degraded: { code: 'TENSOR_INVALID' },
    });
    expect(outcome.degraded!.reason).toContain(message);
  });
});

describe('loading', () => {
  test('however many ask at once, a section is loaded once, and Plans that share it share it', async () => {
    const engine = tinyEngine('onnx');
    const runtime = device({ engines: [engine] });
    const plan = planOf('device-only');
    await Promise.all([
      runtime.prepare(plan),
      runtime.run(plan, sure),
      runtime.run({ ...plan, id: 'another' }, unsure),
    ]);
    expect(engine.counts.loads).toBe(1);
  });

  test('an artifact with another digest never reaches the engine, and the next load tries again', async () => {
    const engine = tinyEngine('binary');
    let bytes = bytesOf(mainArtifact);
    const runtime = device({ engines: [engine], artifact: async () => bytes });
    await expect(runtime.run(lcdnn, sure)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(engine.counts.loads).toBe(0);
    bytes = bytesOf(branchArtifact);
    expect(await runtime.run(lcdnn, sure)).toMatchObject(by('branch'));
  });

  test('a missing engine is named', async () => {
    const missing = device({ engines: [] }).prepare(lcdnn);
    await expect(missing).rejects.toMatchObject({ code: 'ENGINE_MISSING', details: { engine: 'binary' } });
  });

  test('what the engine says about bad bytes is passed on', async () => {
    const plan: Plan = structuredClone(lcdnn);
    const junk = new TextEncoder().encode('{"stem"');
    const runtime = device({ artifact: async () => junk });
    await expect(
      runtime.prepare({ ...plan, sections: [{ ...plan.sections[0]!, artifact: digestOf(junk) }] }),
    ).rejects.toMatchObject({ code: 'MODEL_CORRUPT' });
  });

  test('preparing loads the sections of this place only', async () => {
    const engines = [tinyEngine('binary'), tinyEngine('onnx')];
    await device({ engines }).prepare(lcdnn);
    expect(engines.map((engine) => engine.counts.loads)).toEqual([1, 0]);
  });
});

describe('bad tensors', () => {
  test.each([
    [
      'of another shape',
      tensor('float32', [1, 4], new Float32Array(4)),
      'is float32 [1,4], not float32 [1,1,2,2]',
    ],
    ['of bytes', tensor('uint8', [1, 1, 2, 2], new Uint8Array(4)), 'is uint8 [1,1,2,2]'],
    ['with a NaN', pixels(1, 2, Number.NaN, 4), 'holds NaN at element 2'],
    ['with an infinity', pixels(1, Infinity, 3, 4), 'holds Infinity at element 1'],
  ])('an input %s is refused by name', async (_, input, problem) => {
    await expect(device().run(lcdnn, input)).rejects.toMatchObject({
      code: 'TENSOR_INVALID',
      message: expect.stringContaining(`input pixels ${problem}`),
    });
    await expect(serve(edge(), lcdnn, 'rest', new Map([['stem', input]]))).rejects.toMatchObject({
      code: 'TENSOR_INVALID',
    });
  });

  test('scores that are not finite name their section', async () => {
    const hot: TinyArtifact = { ...branchArtifact, branch_scores: [[1e39, 0, 0, 0], [0], [0]] };
    const plan = planOf('lcdnn', tinyManifest(hot));
    await expect(device({ artifact: store(hot) }).run(plan, sure)).rejects.toMatchObject({
      code: 'TENSOR_INVALID',
      message: expect.stringContaining('section device: scores "branch_scores" of exit branch hold'),
    });
  });

  test('serving needs every input, and a section of this place', async () => {
    await expect(serve(edge(), lcdnn, 'rest', new Map())).rejects.toMatchObject({ code: 'TENSOR_INVALID' });
    for (const section of ['device', 'gone']) {
      await expect(serve(edge(), lcdnn, section, new Map([['stem', unsure]]))).rejects.toMatchObject({
        code: 'PLAN_INVALID',
      });
    }
  });
});

test('a middle place judges its own exit and passes on what it doubts', async () => {
  const plan = parsePlan({
    ...lcdnn,
    id: 'three places',
    places: [...lcdnn.places, { id: 'cloud', tier: 'cloud' }],
    sections: [
      lcdnn.sections[0],
      { ...lcdnn.sections[0], id: 'middle', place: 'edge', inputs: [model.stem], model: 'tiny.middle' },
      { ...lcdnn.sections[1], place: 'cloud' },
    ],
    links: [
      lcdnn.links[0],
      { ...lcdnn.links[1], to: 'middle' },
      { ...lcdnn.links[1], from: 'middle', when: { kind: 'exitNotTaken', exit: 'middle' } },
    ],
    exits: [
      lcdnn.exits[0],
      { ...lcdnn.exits[0], id: 'middle', section: 'middle', policy: { kind: 'entropy', threshold: 0.9 } },
      lcdnn.exits[1],
    ],
  });
  // The branch's scores and the middle's have one name, so a reply is read by the deepest exit that fits it.
  const cloud = edge({ place: 'cloud' });
  const middle = edge({ send: framesTo(cloud, plan) });
  expect(await serve(middle, plan, 'middle', new Map([['stem', pixels(60, 0, 0, 0)]]))).toMatchObject({
    ...by('middle'),
    place: 'edge',
  });
  const passedOn = await serve(middle, plan, 'middle', new Map([['stem', unsure]]));
  expect(passedOn).toMatchObject({ ...by('main'), place: 'cloud' });
  expect(passedOn.path.map((step) => step.place)).toEqual(['edge', 'cloud']);
  expect(await device({ send: framesTo(middle, plan) }).run(plan, unsure)).toMatchObject(by('main'));
});

describe('time', () => {
  /** A clock that moves one second at each look. */
  const ticking = () => {
    let seconds = 0;
    return () => 1000 * seconds++;
  };

  test('the link gets the round trip less what the other place reports', async () => {
    const send: Transport = async () => ({
      tensors: new Map([['main_scores', tensor('float32', [1, 3], Float32Array.of(1, 2, 3))]]),
      queueMs: 100,
      computeMs: 200,
      uplinkBytes: 5,
      downlinkBytes: 6,
    });
    const { path } = await device({ send, now: ticking() }).run(lcdnn, unsure);
    expect(path).toEqual([
      {
        place: 'device',
        section: 'device',
        queueMs: 0,
        computeMs: 1000,
        uplinkBytes: 0,
        downlinkBytes: 0,
        linkMs: 0,
      },
      {
        place: 'edge',
        section: 'rest',
        queueMs: 100,
        computeMs: 200,
        uplinkBytes: 5,
        downlinkBytes: 6,
        linkMs: 700,
      },
    ]);
  });

  test('an engine with a queue tells waiting from computing', async () => {
    const inner = tinyEngine('onnx');
    const queueing = {
      ...inner,
      async load(...args: Parameters<typeof inner.load>) {
        const section = await inner.load(...args);
        return {
          ...section,
          run: (...[inputs, options]: Parameters<typeof section.run>) => {
            options?.onTimings?.({ queueMs: 3, computeMs: 4 });
            return section.run(inputs, options);
          },
        };
      },
    };
    const { path } = await device({ engines: [queueing] }).run(planOf('device-only'), sure);
    expect(path[0]).toMatchObject({ queueMs: 3, computeMs: 4 });
  });
});

describe('ending', () => {
  /** A gate that a test opens; `entered` resolves when somebody stands before it. */
  function gate() {
    const { promise: opened, resolve: open } = withResolvers();
    const { promise: entered, resolve: enter } = withResolvers();
    const pass = () => {
      enter();
      return opened;
    };
    return { open, entered, pass };
  }

  function withResolvers() {
    let resolve = () => {};
    const promise = new Promise<void>((done) => {
      resolve = done;
    });
    return { promise, resolve };
  }

  test('an abort frees the caller at once, whatever is under way', async () => {
    const { open, entered, pass } = gate();
    const stop = new AbortController();
    const running = device({ engines: [tinyEngine('binary', pass)] }).run(lcdnn, sure, {
      signal: stop.signal,
    });
    await entered;
    stop.abort();
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    open();
    await expect(device().run(lcdnn, sure, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });

  test("a caller's own time limit is TIMEOUT and is thrown", async () => {
    const { pass } = gate();
    const send: Transport = () => pass() as Promise<never>;
    const limited = device({ send }).run(lcdnn, unsure, { signal: AbortSignal.timeout(1) });
    await expect(limited).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  test('disposing waits for what runs, frees every section once, and refuses what comes later', async () => {
    const { open, pass } = gate();
    const engine = tinyEngine('binary', pass);
    const runtime = device({ engines: [engine] });
    await runtime.prepare(lcdnn);
    const running = runtime.run(lcdnn, sure);
    const order: string[] = [];
    const ended = Promise.all([
      running.then(() => order.push('answer')),
      runtime.dispose().then(() => order.push('disposed')),
    ]);
    await expect(runtime.run(lcdnn, sure)).rejects.toMatchObject({ code: 'DISPOSED' });
    expect(engine.counts.disposals).toBe(0);
    open();
    await ended;
    await runtime.dispose();
    expect(order).toEqual(['answer', 'disposed']);
    expect(engine.counts.disposals).toBe(1);
  });

  test('a caller that gave up is still waited for', async () => {
    const { open, entered, pass } = gate();
    const engine = tinyEngine('binary', pass);
    const runtime = device({ engines: [engine] });
    await runtime.prepare(lcdnn);
    const stop = new AbortController();
    const running = runtime.run(lcdnn, sure, { signal: stop.signal });
    await entered;
    stop.abort();
    await running.catch((error) => expect(isTierwiseError(error, 'CANCELLED')).toBe(true));
    const disposed = runtime.dispose();
    await Promise.resolve();
    expect(engine.counts).toMatchObject({ running: 1, disposals: 0 });
    open();
    await disposed;
    expect(engine.counts).toMatchObject({ running: 0, disposals: 1 });
  });
});
