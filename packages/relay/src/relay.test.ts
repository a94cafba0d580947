import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Clock } from './clock.ts';
import { createRelay, type Direction, type Relay } from './relay.ts';
import { reset } from './reset.ts';

const open = { bitsPerSecond: 1e9, delayMs: 0 };
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A server that hands every connection to `serve`. */
async function target(serve: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function relayTo(
  port: number,
  options: { up?: Direction; down?: Direction; clock?: Clock; signal?: AbortSignal } = {},
): Promise<Relay> {
  const relay = await createRelay({ target: { host: '127.0.0.1', port }, up: open, down: open, ...options });
  closing.push(() => relay.close());
  return relay;
}

function client(port: number): Socket {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  closing.push(() => socket.destroy());
  return socket;
}

/** All that comes until the other end ends its half; this end stays as it is. */
function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => resolve(Buffer.concat(chunks)));
    socket.on('error', reject);
  });
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

const echo = (socket: Socket) => void socket.pipe(socket);
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Time that stands still until it is told to move. */
class HandClock implements Clock {
  time = 0;
  readonly waiting = new Set<{ readonly atMs: number; readonly callback: () => void }>();
  readonly #watchers = new Set<() => void>();

  now(): number {
    return this.time;
  }

  at(atMs: number, callback: () => void): () => void {
    const entry = { atMs, callback };
    this.waiting.add(entry);
    for (const watch of this.#watchers) watch();
    return () => this.waiting.delete(entry);
  }

  /** Resolves once `count` callbacks wait, with their times in order. */
  async scheduled(count: number): Promise<number[]> {
    while (this.waiting.size < count)
      await new Promise<void>((resolve) => {
        this.#watchers.add(resolve);
      });
    return [...this.waiting].map(({ atMs }) => atMs).sort((a, b) => a - b);
  }

  advanceTo(time: number): void {
    this.time = time;
    for (const entry of [...this.waiting]) {
      if (entry.atMs > time) continue;
      this.waiting.delete(entry);
      entry.callback();
    }
  }
}

test('bytes come back as they were sent, in both directions at once, far beyond what may be under way', async () => {
  const relay = await relayTo(await target(echo));
  const socket = client(relay.port);
  const sent = randomBytes(8 * 1024 * 1024);
  socket.end(sent);
  const received = await readAll(socket);
  expect(received.length).toBe(sent.length);
  expect(sha(received)).toBe(sha(sent));
  expect(relay.counters).toEqual({ connections: 1, upBytes: sent.length, downBytes: sent.length });
});

test('a message arrives after its time on the line and the delay, not before', async () => {
  const clock = new HandClock();
  const relay = await relayTo(await target(echo), {
    clock,
    up: { bitsPerSecond: 80_000, delayMs: 30 },
    down: { bitsPerSecond: 8_000, delayMs: 70 },
  });
  const socket = client(relay.port);
  socket.write(Buffer.alloc(1000, 1));
  expect(await clock.scheduled(1)).toEqual([100 + 30]);
  clock.advanceTo(129);
  expect(relay.counters.upBytes).toBe(0);
  clock.advanceTo(130);
  expect(relay.counters.upBytes).toBe(1000);
  // The echo leaves the target at 130 and takes a second on the line back.
  expect(await clock.scheduled(1)).toEqual([130 + 1000 + 70]);
  expect(relay.counters.downBytes).toBe(0);
  clock.advanceTo(1200);
  const [chunk] = await once(socket, 'data');
  expect(chunk).toEqual(Buffer.alloc(1000, 1));
});

test('connections share the rate', async () => {
  const clock = new HandClock();
  const relay = await relayTo(await target(echo), {
    clock,
    up: { bitsPerSecond: 80_000, delayMs: 5 },
  });
  for (let i = 0; i < 3; i++) client(relay.port).write(Buffer.alloc(1000));
  expect(await clock.scheduled(3)).toEqual([105, 205, 305]);
});

test('a closed half stays half: the answer may come after the end of the question', async () => {
  const asked = deferred<string>();
  const port = await target(async (socket) => {
    asked.resolve(String(await readAll(socket)));
    socket.end('answer');
  });
  const relay = await relayTo(port, { up: { bitsPerSecond: 1e6, delayMs: 2 }, down: open });
  const socket = client(relay.port);
  socket.end('question');
  expect(String(await readAll(socket))).toBe('answer');
  expect(await asked.promise).toBe('question');
});

test.each(['client', 'target'] as const)('a reset by the %s reaches the other end', async (who) => {
  const accepted = deferred<Socket>();
  const relay = await relayTo(await target((socket) => accepted.resolve(socket)));
  const ends = { client: client(relay.port), target: await accepted.promise };
  const other = who === 'client' ? ends.target : ends.client;
  const failure = once(other, 'error').catch((error: unknown) => [error]);
  // A socket that nobody reads does not notice.
  other.resume();
  reset(ends[who]);
  expect(await failure).toEqual([expect.objectContaining({ code: 'ECONNRESET' })]);
});

test('a target that is not there resets the client', async () => {
  const gone = createServer().listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address() as AddressInfo;
  gone.close();
  await once(gone, 'close');
  const socket = client((await relayTo(port)).port);
  await expect(readAll(socket)).rejects.toMatchObject({ code: 'ECONNRESET' });
});

describe('faults', () => {
  const atTarget = deferred<unknown>();
  const serveMegabyte = (socket: Socket) => {
    socket.on('error', atTarget.resolve);
    socket.resume().end(Buffer.alloc(1e6, 7));
  };
  const withFault = async (kind: 'stall' | 'cut' | 'reset') =>
    relayTo(await target(serveMegabyte), { down: { ...open, fault: { kind, afterBytes: 100_000 } } });
  /** Reads exactly the bytes before the fault. */
  async function readUntilFault(socket: Socket): Promise<void> {
    for (let received = 0; received < 100_000; )
      received += ((await once(socket, 'data'))[0] as Buffer).length;
  }

  test('cut: the receiver gets that many bytes and an orderly end', async () => {
    const relay = await withFault('cut');
    expect(await readAll(client(relay.port))).toEqual(Buffer.alloc(100_000, 7));
    expect(relay.counters.downBytes).toBe(100_000);
  });

  test('reset: both ends see it', async () => {
    const relay = await withFault('reset');
    const socket = client(relay.port);
    // When data and reset arrive at once, libuv reports an end instead; the target, which waits, always sees it.
    const gone = new Promise((resolve) => {
      socket.on('error', resolve).on('end', resolve).resume();
    });
    expect(await atTarget.promise).toMatchObject({ code: 'ECONNRESET' });
    await gone;
    expect(relay.counters.downBytes).toBe(100_000);
  });

  test('stall: that many bytes arrive, then nothing, until the relay is cut', async () => {
    const relay = await withFault('stall');
    const socket = client(relay.port);
    await readUntilFault(socket);
    expect(socket.readableEnded).toBe(false);
    const failure = once(socket, 'close').catch((error: unknown) => [error]);
    relay.cut();
    expect(await failure).toEqual([expect.objectContaining({ code: 'ECONNRESET' })]);
    expect(socket.bytesRead).toBe(100_000);
    expect(relay.counters.downBytes).toBe(100_000);
  });
});

test('after a cut the link is back for new connections', async () => {
  const relay = await relayTo(await target(echo));
  const first = client(relay.port);
  first.write('x');
  await once(first, 'data');
  relay.cut();
  await expect(readAll(first)).rejects.toMatchObject({ code: 'ECONNRESET' });
  const second = client(relay.port);
  second.end('again');
  expect(String(await readAll(second))).toBe('again');
  expect(relay.counters.connections).toBe(2);
});

test('an aborted signal closes the relay', async () => {
  const stop = new AbortController();
  const port = await target(echo);
  const relay = await relayTo(port, { signal: stop.signal });
  stop.abort();
  await relay.close();
  const refused = client(relay.port);
  await expect(once(refused, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await expect(relayTo(port, { signal: stop.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
});

test.each([
  { up: { bitsPerSecond: 0, delayMs: 1 } },
  { up: { bitsPerSecond: Number.NaN, delayMs: 1 } },
  { down: { bitsPerSecond: 1e6, delayMs: -1 } },
  { down: { ...open, fault: { kind: 'cut' as const, afterBytes: 0.5 } } },
])('%j is refused', async (directions) => {
  await expect(relayTo(1, directions)).rejects.toMatchObject({ code: 'USAGE' });
});
