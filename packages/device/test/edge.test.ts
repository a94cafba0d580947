/** The SDK with a real edge in a process of its own, over links that break. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRelay } from '@tierwise/relay';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { Composite, LoadOptions } from '../src/api.ts';
import { load } from '../src/load.ts';
import { type RealEdge, startRealEdge } from './real-edge.ts';

const token = 'a-token-0123456789';
const upright = Uint8Array.from({ length: 784 }, (_, i) => (i % 28 > 12 && i % 28 < 16 ? 255 : 0));
const digit = { data: upright, width: 28, height: 28 };
/** Whatever the branch thinks, it is not sure of it. */
const unsure = { threshold: 0 };

let folder: string;
let edge: RealEdge;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tierwise-device-'));
  await writeFile(join(folder, 'tokens'), `${token}\n`);
  edge = await startRealEdge('--audit', '--token-file', join(folder, 'tokens'));
});
afterAll(async () => {
  await edge?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function open(options: LoadOptions = {}): Promise<Composite> {
  const composite = await load(`${edge.url}/models/lenet-mnist`, { WebSocket, token, ...options });
  endings.push(() => composite.dispose());
  return composite;
}

/** How much each metric whose name has `part` in it has grown while `work` ran. */
async function growth(part: string, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await edge.metrics(token);
  await work();
  const after = await edge.metrics(token);
  const grown = [...after].map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const);
  return Object.fromEntries(grown.filter(([name, by]) => name.includes(part) && by !== 0));
}

describe('tokens', () => {
  test.each<[string, LoadOptions]>([
    ['over a WebSocket', {}],
    ['by HTTP where there is no WebSocket', { WebSocket: undefined }],
  ])('are given %s', async (_, options) => {
    const composite = await open(options);
    expect(await composite.classify(digit, unsure)).toMatchObject({ tier: 'edge', label: '1' });
    expect(composite.edgeState).toBe('connected');
  });

  test('a wrong one, or none: the branch answers, and says that the token was refused', async () => {
    for (const wrong of [undefined, 'another-token-0123']) {
      const composite = await open({ token: wrong });
      expect(await composite.classify(digit, unsure)).toMatchObject({
        tier: 'device',
        degraded: { code: 'TOKEN_REFUSED' },
      });
    }
  });
});

test('a link that is cut before the answer is there gives one answer, computed once', async () => {
  await using relay = await createRelay({
    target: { host: '127.0.0.1', port: edge.port },
    up: { bitsPerSecond: 1e8, delayMs: 0 },
    down: { bitsPerSecond: 1e8, delayMs: 1000 },
  });
  const composite = await open({ edge: `http://127.0.0.1:${relay.port}/v2/stream` });
  const states: string[] = [];
  const connected = new Promise<void>((resolve) =>
    composite.on('edge', (state) => {
      states.push(state);
      if (state === 'connected') resolve();
    }),
  );
  await connected;
  const answered = 'tierwise_requests_total{model="lenet-mnist.rest",transport="websocket",outcome="ok"}';
  const before = (await edge.metrics(token)).get(answered) ?? 0;
  const grown = await growth('tierwise_requests_total', async () => {
    const waiting = composite.classify(digit, unsure);
    // The link delays the answer for longer than it takes to see that it was given.
    while (((await edge.metrics(token)).get(answered) ?? 0) === before);
    relay.cut();
    const answer = await waiting;
    expect(answer).toMatchObject({ tier: 'edge', label: '1' });
    expect(answer.degraded).toBeUndefined();
  });
  const labels = (transport: string, outcome: string) =>
    `tierwise_requests_total{model="lenet-mnist.rest",transport="${transport}",outcome="${outcome}"}`;
  expect(grown).toEqual({ [labels('websocket', 'ok')]: 1, [labels('http', 'repeated')]: 1 });
  expect(states.slice(0, 3)).toEqual(['connected', 'unreachable', 'connected']);
});

test('exits on the device are told with the next request, and audits are counted apart', async () => {
  const composite = await open({ audit: { share: 0.5 }, random: () => 0.4 });
  const audited = 'tierwise_branch_entropy_ratio_count{model="lenet-mnist.rest",audit="true",agrees="true"}';
  const grown = await growth('tierwise_', async () => {
    const before = (await edge.metrics(token)).get(audited) ?? 0;
    expect(await composite.classify(digit, { threshold: 1 })).toMatchObject({ tier: 'device' });
    while (((await edge.metrics(token)).get(audited) ?? 0) === before);
    expect(await composite.classify(digit, unsure)).toMatchObject({ tier: 'edge' });
  });
  const model = 'model="lenet-mnist.rest"';
  expect(grown).toMatchObject({
    [audited]: 1,
    [audited.replace('true', 'false')]: 1,
    [`tierwise_exits_total{${model},tier="device"}`]: 1,
    [`tierwise_prediction_ratio_count{${model}}`]: 2,
  });
});
