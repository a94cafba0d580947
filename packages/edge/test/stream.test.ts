import { once } from 'node:events';
import { tensor } from '@tierwise/core';
import { encodeFrame, pack } from '@tierwise/wire';
import fc from 'fast-check';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
  test,
  vi,
} from 'vitest';
import { WebSocket } from 'ws';
import { createEdge, type Edge } from '../src/index.ts';
import { openStream, packedTensor, request, type StreamClient } from './client.ts';
import { dims, expectedScores, expectedStem, modelsFolder, picture } from './tiny-bundle.ts';

let edge: Edge;
let models: Awaited<ReturnType<typeof modelsFolder>>;
let client: StreamClient;
beforeAll(async () => {
  models = await modelsFolder();
  await models.add();
  edge = await createEdge({ models: models.path, port: 0, bodyLimitBytes: 50_000 });
});
afterAll(async () => {
  await edge.close();
  await models.dispose();
});
beforeEach(async () => {
  client = await openStream(edge.url);
});
afterEach(() => client.close());

/** A request for the rest, as a device makes it: the stem's output of a picture, packed. */
function restRequest(id: string, seed = 1) {
  const stem = tensor('float32', dims.stem, Float32Array.from(expectedStem(picture(seed))));
  return request({ stem: packedTensor(pack(stem, { kind: 'raw' })) }, { modelName: 'tiny.rest', id });
}

async function expectAnswer(id: string, seed = 1): Promise<void> {
  client.send(restRequest(id, seed));
  expect(await client.next()).toMatchObject({ kind: 'response', id });
}

test('an idle connection is pinged and hears a beat; one that does not answer is cut off', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const socket = new WebSocket(`${edge.url.replace('http', 'ws')}/v2/stream`, { autoPong: false });
  await once(socket, 'open');
  const beat = async () => {
    const heard = Promise.all([once(socket, 'ping'), once(socket, 'message')]);
    vi.advanceTimersByTime(30_000);
    const [, [message]] = await heard;
    expect(message).toHaveLength(0);
  };
  await beat();
  socket.pong();
  // The pong has arrived when what was sent after it is answered.
  socket.send(encodeFrame(restRequest('1')));
  await once(socket, 'message');
  await beat();
  const closed = once(socket, 'close');
  vi.advanceTimersByTime(30_000);
  await closed;
});

describe('/v2/stream', () => {
  it('answers a packed stem with scores, times and the Plan', async () => {
    client.send(restRequest('7', 3));
    const reply = await client.next();
    expect(reply).toMatchObject({
      kind: 'response',
      id: '7',
      modelName: 'tiny.rest',
      parameters: {
        plan: expect.stringMatching(/^lcdnn:tiny:[0-9a-f]{8}$/),
        section: 'rest',
        exit: 'main',
        queueMs: expect.any(Number),
        computeMs: expect.any(Number),
      },
    });
    const scores = reply.kind === 'response' ? reply.outputs.get('scores')! : undefined;
    expect(scores?.dims).toEqual([1, 3]);
    for (const [i, value] of expectedScores(picture(3)).entries()) {
      expect((scores!.data as Float32Array)[i]).toBeCloseTo(value, 2);
    }
  });

  it('takes the Plan and section that a device names, and no other', async () => {
    client.send(restRequest('1'));
    const first = await client.next();
    const { plan, section } = first.kind === 'response' ? first.parameters : {};
    client.send({ ...restRequest('2'), parameters: { plan: plan!, section: section! } });
    expect(await client.next()).toMatchObject({ kind: 'response', id: '2' });
    client.send({ ...restRequest('3'), parameters: { plan: 'lcdnn:tiny:00000000', section: section! } });
    expect(await client.next()).toMatchObject({ kind: 'failure', id: '3', code: 'ARTIFACT_UNKNOWN' });
  });

  it('answers many requests of one connection, each under its own id', async () => {
    const ids = Array.from({ length: 30 }, (_, i) => `${i}`);
    for (const id of ids) client.send(restRequest(id, Number(id)));
    const found = new Map<string, number>();
    for (const _ of ids) {
      const reply = await client.next();
      if (reply.kind !== 'response') throw new Error(reply.error);
      found.set(reply.id, (reply.outputs.get('scores')!.data as Float32Array)[0]!);
    }
    for (const id of ids) expect(found.get(id)).toBeCloseTo(expectedScores(picture(Number(id)))[0]!, 2);
  });

  it('refuses more than 32 requests of one connection at once', async () => {
    const ids = Array.from({ length: 50 }, (_, i) => `${i}`);
    for (const id of ids) client.send(restRequest(id));
    const replies = [];
    for (const _ of ids) replies.push(await client.next());
    expect(replies.filter((reply) => reply.kind === 'response').length).toBeGreaterThanOrEqual(32);
    for (const reply of replies) if (reply.kind === 'failure') expect(reply.code).toBe('OVERLOADED');
    await expectAnswer('after');
  });

  it('answers what it cannot do with a failure under the id', async () => {
    client.send({ ...restRequest('u'), modelName: 'nope' });
    expect(await client.next()).toEqual({
      kind: 'failure',
      id: 'u',
      code: 'MODEL_UNKNOWN',
      error: "Request for unknown model: 'nope' is not found",
    });
    const wrong = tensor('float32', [1, 3], new Float32Array(3));
    client.send(request({ stem: wrong }, { modelName: 'tiny.rest', id: 'w' }));
    expect(await client.next()).toMatchObject({ kind: 'failure', id: 'w', code: 'TENSOR_INVALID' });
    const notFinite = tensor('float32', dims.stem, new Float32Array(32).fill(Number.NaN));
    client.send(request({ stem: notFinite }, { modelName: 'tiny.rest', id: 'n' }));
    expect(await client.next()).toMatchObject({ kind: 'failure', id: 'n', code: 'TENSOR_INVALID' });
    client.sendBytes(encodeFrame({ kind: 'failure', id: 'f', error: 'x', code: 'INTERNAL' }));
    expect(await client.next()).toMatchObject({ kind: 'failure', id: 'f', code: 'REQUEST_INVALID' });
    client.sendBytes('{"id": "text"}');
    expect(await client.next()).toMatchObject({ kind: 'failure', id: '', code: 'FRAME_CORRUPT' });
    await expectAnswer('alive');
  });

  it('finds the id in a header that is wrong otherwise', async () => {
    const json = new TextEncoder().encode('{"id": "q", "inputs": 3}');
    client.sendBytes(Uint8Array.of(json.length, 0, 0, 0, ...json));
    expect(await client.next()).toMatchObject({ kind: 'failure', id: 'q', code: 'FRAME_CORRUPT' });
  });

  it('answers any garbage with one failure, and the connection lives', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (garbage) => {
        client.sendBytes(garbage);
        expect(await client.next()).toMatchObject({ kind: 'failure', code: 'FRAME_CORRUPT' });
      }),
      { numRuns: 200 },
    );
    await expectAnswer('alive');
  });

  it('answers any damaged frame once, and the connection lives', async () => {
    const good = encodeFrame(restRequest('d'));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(good.length - 1),
        fc.nat(7),
        fc.nat(good.length),
        fc.boolean(),
        async (at, bit, length, cut) => {
          const bytes = good.slice(0, cut ? length : good.length);
          if (at < bytes.length) bytes[at]! ^= 1 << bit;
          client.sendBytes(bytes);
          const reply = await client.next();
          // A flipped bit in the id or in a name of the header may leave a request that can be answered.
          if (reply.kind === 'failure') expect(reply.code).not.toBe('INTERNAL');
        },
      ),
      { numRuns: 300 },
    );
    await expectAnswer('alive');
  });

  it('cuts off a client that sends an oversized frame, and only that', async () => {
    const other = await openStream(edge.url);
    other.sendBytes(new Uint8Array(60_000));
    expect(await other.closed).toBe(1009);
    await expectAnswer('alive');
  });

  it('forgets the requests of a client that leaves', async () => {
    const other = await openStream(edge.url);
    for (let i = 0; i < 20; i++) other.send(restRequest(`${i}`));
    other.socket.terminate();
    await other.closed;
    await expectAnswer('alive');
  });

  it('opens for the own page and for programs, not for pages from elsewhere', async () => {
    const own = await openStream(edge.url, { origin: edge.url });
    await own.close();
    await expect(openStream(edge.url, { origin: 'https://other.example' })).rejects.toThrow('403');
    await expect(openStream(`${edge.url}/nope`)).rejects.toThrow('404');
  });

  it('is counted', async () => {
    await expectAnswer('1');
    const text = await (await fetch(`${edge.url}/metrics`)).text();
    expect(text).toMatch(
      /^tierwise_requests_total\{model="tiny\.rest",transport="websocket",outcome="ok"\} \d+$/m,
    );
    expect(text).toMatch(
      /^tierwise_requests_total\{model="",transport="websocket",outcome="FRAME_CORRUPT"\} \d+$/m,
    );
    expect(text).toMatch(/^tierwise_websocket_connections 1$/m);
  });
});
