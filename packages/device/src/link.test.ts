import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tensor } from '@tierwise/core';
import type { TransportRequest } from '@tierwise/runtime';
import { type InferRequest, unpack } from '@tierwise/wire';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type WebSocket as ServerSocket, WebSocket } from 'ws';
import { reply, scored, startEdge, type TestEdge } from '../test/edge.ts';
import { plansOf, tinyManifest } from '../test/site.ts';
import type { EdgeState } from './api.ts';
import { type Link, type LinkOptions, openLink, pauseMs } from './link.ts';

const plan = plansOf(tinyManifest()).find(({ strategy }) => strategy === 'lcdnn')!;

const endings: (() => unknown)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const end of endings.splice(0)) await end();
});

async function edgeThat(answer: Parameters<typeof startEdge>[0], port?: number): Promise<TestEdge> {
  const edge = await startEdge(answer, port);
  endings.push(edge.stop);
  return edge;
}

/** A link with the states it went through, and a way to wait for one. */
function linkTo(
  url: string,
  changes: Partial<LinkOptions> = {},
): {
  link: Link;
  states: EdgeState[];
  until: (state: EdgeState) => Promise<void>;
} {
  const states: EdgeState[] = [];
  const waiting = new Set<() => void>();
  const link = openLink({
    url,
    WebSocket,
    fetch,
    random: () => 0,
    told: { deviceExits: 0 },
    ...changes,
    onState: (state) => {
      states.push(state);
      for (const look of waiting) look();
    },
  });
  endings.push(link.close);
  const until = (state: EdgeState) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (states.at(-1) === state) resolve();
      };
      waiting.add(look);
      look();
    });
  return { link, states, until };
}

/** A request whose one element is `value`. */
function ask(value: number, changes: Partial<TransportRequest> = {}): TransportRequest {
  return {
    plan,
    section: plan.sections[1]!,
    inputs: new Map([['stem', tensor('float32', [1], Float32Array.of(value))]]),
    links: [{ ...plan.links[1]!, codec: { kind: 'raw' } }],
    policies: {},
    onSent: () => {},
    ...changes,
  };
}
const codeOf = (request: InferRequest) =>
  Number(unpack(request.inputs.get('stem')!.data as Uint8Array).data[0]);
const firstScore = async (sent: ReturnType<Link['send']>) => (await sent).tensors.get('scores')!.data[0];
const echo = (request: InferRequest, socket: ServerSocket) => reply(socket, scored(request, codeOf(request)));

describe('requests', () => {
  test('a request carries model, Plan and section, and its reply the times and the bytes of both ways', async () => {
    const seen: InferRequest[] = [];
    const edge = await edgeThat((request, socket) => {
      seen.push(request);
      echo(request, socket);
    });
    const order: string[] = [];
    const got = await linkTo(edge.url).link.send(ask(9, { onSent: () => order.push('sent') }));
    expect(order).toEqual(['sent']);
    expect(seen[0]).toMatchObject({
      modelName: 'tiny.rest',
      parameters: { plan: plan.id, section: 'rest', key: expect.any(String), deadlineMs: 5000 },
    });
    expect(got).toMatchObject({ queueMs: 1, computeMs: 2 });
    expect([...got.tensors.get('scores')!.data]).toEqual([9, 0, 0]);
    expect(got.uplinkBytes).toBeGreaterThan(100);
    expect(got.downlinkBytes).toBeGreaterThan(100);
  });

  test('replies find their requests in whatever order they come', async () => {
    let hold: (() => void)[] = [];
    const edge = await edgeThat((request, socket) => {
      hold.push(() => echo(request, socket));
      if (hold.length === 5) for (const send of order.map((i) => hold[i]!)) send();
    });
    let order: number[] = [];
    const { link } = linkTo(edge.url);
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }), async (permuted) => {
        hold = [];
        order = permuted;
        const values = [10, 11, 12, 13, 14];
        expect(await Promise.all(values.map((value) => firstScore(link.send(ask(value)))))).toEqual(values);
      }),
      { numRuns: 20 },
    );
  });

  test('late, repeated and unknown replies are ignored', async () => {
    const edge = await edgeThat((request, socket) => {
      for (const id of ['0', 'x', request.id, request.id]) reply(socket, { ...scored(request, 5), id });
    });
    const { link, states } = linkTo(edge.url);
    expect(await firstScore(link.send(ask(1)))).toBe(5);
    expect(await firstScore(link.send(ask(2)))).toBe(5);
    expect(states).toEqual(['connected']);
  });

  test("a failure is the edge's own error, for the request it names", async () => {
    const edge = await edgeThat((request, socket) => {
      if (codeOf(request) === 1) {
        reply(socket, { kind: 'failure', id: request.id, error: 'queue is full', code: 'OVERLOADED' });
      } else echo(request, socket);
    });
    const { link } = linkTo(edge.url);
    const [failed, fine] = [link.send(ask(1)), link.send(ask(2))];
    await expect(failed).rejects.toMatchObject({
      code: 'OVERLOADED',
      message: 'queue is full',
    });
    expect(await firstScore(fine)).toBe(2);
  });

  test('a failure that names no request fails them all', async () => {
    const edge = await edgeThat((request, socket) => {
      if (codeOf(request) === 2)
        reply(socket, { kind: 'failure', id: '', error: 'going down', code: 'DRAINING' });
    });
    const { link } = linkTo(edge.url);
    for (const end of await Promise.allSettled([link.send(ask(1)), link.send(ask(2))])) {
      expect(end).toMatchObject({ status: 'rejected', reason: { code: 'DRAINING' } });
    }
  });

  test('a response with times that are none fails its request only', async () => {
    const edge = await edgeThat((request, socket) => {
      const response = scored(request, 3);
      if (response.kind !== 'response') return;
      reply(socket, codeOf(request) === 1 ? { ...response, parameters: { queueMs: -1 } } : response);
    });
    const { link, states } = linkTo(edge.url);
    const [bad, good] = [link.send(ask(1)), link.send(ask(2))];
    await expect(bad).rejects.toMatchObject({ code: 'FRAME_CORRUPT' });
    expect(await firstScore(good)).toBe(3);
    expect(states).toEqual(['connected']);
  });
});

describe('exits on the device', () => {
  test('are told once, and again when the edge gave no answer', async () => {
    const seen: unknown[] = [];
    const edge = await edgeThat((request, socket) => {
      seen.push(request.parameters['deviceExits']);
      if (codeOf(request) === 1) {
        reply(socket, { kind: 'failure', id: request.id, error: 'queue is full', code: 'OVERLOADED' });
      } else echo(request, socket);
    });
    const told = { deviceExits: 3 };
    const { link } = linkTo(edge.url, { told });
    await expect(link.send(ask(1))).rejects.toMatchObject({ code: 'OVERLOADED' });
    told.deviceExits++;
    await link.send(ask(2));
    await link.send(ask(3));
    expect(seen).toEqual([3, 4, undefined]);
    expect(told.deviceExits).toBe(0);
  });
});

test('every request has a key of its own, also those of another page', async () => {
  const keys = new Set<unknown>();
  const edge = await edgeThat((request, socket) => {
    keys.add(request.parameters['key']);
    echo(request, socket);
  });
  const links = [linkTo(edge.url).link, linkTo(edge.url).link];
  for (const link of links) await Promise.all([link.send(ask(1)), link.send(ask(1))]);
  expect(keys.size).toBe(4);
});

describe('waiting', () => {
  test('an edge that never answers is a TIMEOUT, and what comes after it is ignored', async () => {
    const late: (() => void)[] = [];
    const edge = await edgeThat((request, socket) => {
      if (codeOf(request) === 1) late.push(() => echo(request, socket));
      else {
        for (const send of late) send();
        echo(request, socket);
      }
    });
    const { link, states } = linkTo(edge.url);
    await expect(link.send(ask(1, { policies: { timeoutMs: 20 } }))).rejects.toMatchObject({
      code: 'TIMEOUT',
      details: { timeoutMs: 20 },
    });
    expect(await firstScore(link.send(ask(2)))).toBe(2);
    expect(states).toEqual(['connected']);
  });

  test('a peer that takes the connection and never shakes hands is a TIMEOUT, too', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    endings.push(() => silent.close());
    const { link } = linkTo(`ws://127.0.0.1:${(silent.address() as AddressInfo).port}`);
    let sent = false;
    const onSent = () => {
      sent = true;
    };
    await expect(link.send(ask(1, { policies: { timeoutMs: 20 }, onSent }))).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    expect(sent).toBe(false);
  });

  test('a link that was silent for five seconds is given up and opened anew', async () => {
    const requested = resolvers();
    const edge = await edgeThat((request, socket) => {
      if (codeOf(request) === 1) requested.resolve();
      else echo(request, socket);
    });
    const { link, states, until } = linkTo(edge.url);
    await until('connected');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const waiting = expect(link.send(ask(1))).rejects.toMatchObject({ code: 'TIMEOUT' });
    await requested.promise;
    vi.advanceTimersByTime(5000);
    await waiting;
    vi.useRealTimers();
    expect(await firstScore(link.send(ask(2)))).toBe(2);
    expect(states).toEqual(['connected', 'unreachable', 'connected']);
  });

  test('an edge that has beaten and then falls silent is connected anew before anybody asks', async () => {
    const edge = await edgeThat((request, socket) => {
      if (codeOf(request) === 2) socket.send(new Uint8Array());
      echo(request, socket);
    });
    const { link, states, until } = linkTo(edge.url);
    await until('connected');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    // Other edges may not beat at all.
    await firstScore(link.send(ask(1)));
    vi.advanceTimersByTime(1_000_000);
    await firstScore(link.send(ask(2)));
    vi.advanceTimersByTime(60_000);
    await firstScore(link.send(ask(2)));
    vi.advanceTimersByTime(60_000);
    expect(states).toEqual(['connected']);
    vi.advanceTimersByTime(10_000);
    expect(states).toEqual(['connected', 'unreachable']);
    vi.useRealTimers();
    await firstScore(link.send(ask(3)));
    expect(states).toEqual(['connected', 'unreachable', 'connected']);
  });

  test('an abort ends one wait, before and after the connection is there', async () => {
    const requested = resolvers();
    const edge = await edgeThat((request, socket) => {
      if (codeOf(request) === 2) requested.resolve();
      if (codeOf(request) > 2) echo(request, socket);
    });
    const { link, until } = linkTo(edge.url);
    const early = new AbortController();
    const before = link.send(ask(1, { signal: early.signal }));
    early.abort();
    await expect(before).rejects.toMatchObject({ code: 'CANCELLED' });
    await until('connected');
    const later = new AbortController();
    const after = link.send(ask(2, { signal: later.signal }));
    await requested.promise;
    later.abort();
    await expect(after).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(link.send(ask(3, { signal: AbortSignal.abort() }))).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(await firstScore(link.send(ask(4)))).toBe(4);
  });
});

describe('losing the edge', () => {
  test('a connection that dies fails everything under way at once, and the next request connects again', async () => {
    const edge = await edgeThat((request, socket) => {
      if (codeOf(request) === 2) socket.terminate();
      if (codeOf(request) === 3) echo(request, socket);
    });
    const { link, states } = linkTo(edge.url);
    // The pause before it connects by itself does not end.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const ends = await Promise.allSettled([link.send(ask(1)), link.send(ask(2))]);
    for (const end of ends) {
      expect(end).toMatchObject({ status: 'rejected', reason: { code: 'EDGE_UNREACHABLE' } });
    }
    expect(link.state).toBe('unreachable');
    expect(await firstScore(link.send(ask(3)))).toBe(3);
    expect(states).toEqual(['connected', 'unreachable', 'connected']);
  });

  test('with nobody there a request fails at once, and the link comes up by itself when somebody is', async () => {
    const first = await startEdge(() => {});
    await first.stop();
    const { link, states, until } = linkTo(first.url);
    expect(link.state).toBe('connecting');
    await expect(link.send(ask(1))).rejects.toMatchObject({ code: 'EDGE_UNREACHABLE' });
    expect(states).toEqual(['unreachable']);
    await edgeThat(echo, first.port);
    await until('connected');
    expect(await firstScore(link.send(ask(7)))).toBe(7);
  });

  test.each([
    ['text/html', '<!doctype html>'],
    ['application/json', '{"error":"Bad Request"}'],
    ['application/octet-stream', ''],
  ])('a server that is no edge is unreachable, whatever it says: %s', async (type, body) => {
    const server = createHttpServer((_, response) =>
      response.writeHead(400, { 'content-type': type }).end(body),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    endings.push(() => server.close());
    const { link } = linkTo(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/nowhere`);
    await expect(link.send(ask(1))).rejects.toMatchObject({ code: 'EDGE_UNREACHABLE' });
  });

  test('an address that no WebSocket takes is unreachable', async () => {
    const { link } = linkTo('ws://127.0.0.1:1/#fragment');
    await expect(link.send(ask(1))).rejects.toMatchObject({ code: 'EDGE_UNREACHABLE' });
  });

  const requestFrame = Buffer.concat([Buffer.from([13, 0, 0, 0]), Buffer.from('{"inputs":[]}')]);
  test.each<[string, string | Buffer]>([
    ['text', 'hello'],
    ['three bytes', Buffer.alloc(3)],
    ['a length alone', Buffer.from([255, 255, 255, 255])],
    ['noise', Buffer.from('tierwise'.repeat(20))],
    ['a request', requestFrame],
  ])('%s instead of a frame ends the connection, and the next one works', async (_, garbage) => {
    const edge = await edgeThat((request, socket) => {
      if (codeOf(request) === 1) socket.send(garbage);
      else echo(request, socket);
    });
    const { link, states } = linkTo(edge.url);
    await expect(link.send(ask(1))).rejects.toMatchObject({ code: 'FRAME_CORRUPT' });
    expect(await firstScore(link.send(ask(2)))).toBe(2);
    expect(states).toEqual(['connected', 'unreachable', 'connected']);
  });

  test('pauses double to five seconds, each spread over the upper half of its length', () => {
    expect([0, 1, 2, 3, 4, 5, 50].map((failures) => pauseMs(failures, 0))).toEqual([
      125, 250, 500, 1000, 2000, 2500, 2500,
    ]);
    expect(pauseMs(0, 0.999)).toBeLessThan(250);
    expect(pauseMs(2000, 0.5)).toBe(3750);
  });
});

test('closing fails what is under way, tells the edge, and stays closed', async () => {
  const requested = resolvers();
  const gone = resolvers();
  const edge = await edgeThat((_, socket) => {
    socket.on('close', gone.resolve);
    requested.resolve();
  });
  const { link, states } = linkTo(edge.url);
  const ended = expect(link.send(ask(1))).rejects.toMatchObject({ code: 'DISPOSED' });
  await requested.promise;
  link.close();
  link.close();
  await ended;
  await gone.promise;
  await expect(link.send(ask(2))).rejects.toMatchObject({ code: 'DISPOSED' });
  expect(states).toEqual(['connected']);
  expect(edge.server.clients.size).toBe(0);
});

function resolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
