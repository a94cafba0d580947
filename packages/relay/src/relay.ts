import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { TierwiseError } from '@tierwise/core';
import { type Clock, systemClock } from './clock.ts';
import { type Fault, startFlow } from './flow.ts';
import { createLine, type LineOptions } from './line.ts';
import { reset } from './reset.ts';

/** One direction of a link. */
export interface Direction extends LineOptions {
  readonly fault?: Fault | undefined;
}

/** What is joined, and how each direction behaves. */
export interface RelayOptions {
  readonly target: { readonly host: string; readonly port: number };
  /** From whoever connects to the target. */
  readonly up: Direction;
  /** From the target back. */
  readonly down: Direction;
  /** Port to listen on at 127.0.0.1; any free one by default. */
  readonly port?: number | undefined;
  /** Closes the relay. */
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
}

/** What has arrived at the other end so far. */
export interface RelayCounters {
  readonly connections: number;
  readonly upBytes: number;
  readonly downBytes: number;
}

/** A relay that runs. Its counters go on counting; disposing it closes the port and every connection. */
export interface Relay extends AsyncDisposable {
  readonly port: number;
  readonly counters: RelayCounters;
  /** Resets every open connection and drops what is under way; later connections pass. */
  cut(): void;
  /** Cuts, and takes no more connections. Idempotent. */
  close(): Promise<void>;
}

/** What may wait in front of a line, per connection: a router's buffer. */
const bufferBytes = 64 * 1024;

/**
 * Listens on 127.0.0.1 and passes every connection on to `target` over one shaped link that all of them share.
 *
 * The link shapes what is said, not how connections are made: both ends shake hands with the relay itself, at
 * once, and there is no slow start and no loss. A request and its answer cost one round trip and their bytes.
 * @throws TierwiseError USAGE on a rate, delay or fault that makes no sense, or a port that is taken; CANCELLED by `signal`
 */
export async function createRelay(options: RelayOptions): Promise<Relay> {
  const { target, up, down, clock = systemClock, signal } = options;
  checkDirection('up', up);
  checkDirection('down', down);
  const lines = { up: createLine(up), down: createLine(down) };
  const counters = { connections: 0, upBytes: 0, downBytes: 0 };
  /** Cuts one connection. */
  const open = new Set<() => void>();

  function accept(client: Socket): void {
    counters.connections++;
    const server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const drop = [
      startFlow({
        from: client,
        to: server,
        line: lines.up,
        clock,
        fault: up.fault,
        windowBytes: windowOf(up),
        onDelivered: (bytes) => {
          counters.upBytes += bytes;
        },
      }),
      startFlow({
        from: server,
        to: client,
        line: lines.down,
        clock,
        fault: down.fault,
        windowBytes: windowOf(down),
        onDelivered: (bytes) => {
          counters.downBytes += bytes;
        },
      }),
    ];
    const cut = () => {
      for (const dropUnderWay of drop) dropUnderWay();
      reset(client);
      reset(server);
    };
    open.add(cut);
    const gone = () => {
      if (client.destroyed && server.destroyed) open.delete(cut);
    };
    client.on('close', gone);
    server.on('close', gone);
  }

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, accept);
  const port = await listen(listener, options.port ?? 0);

  function cut(): void {
    for (const cutOne of open) cutOne();
  }
  let closed: Promise<void> | undefined;
  function close(): Promise<void> {
    closed ??= new Promise((resolve) => {
      signal?.removeEventListener('abort', close);
      listener.close(() => resolve());
      cut();
    });
    return closed;
  }
  signal?.addEventListener('abort', close);
  if (signal?.aborted) {
    await close();
    throw new TierwiseError('CANCELLED', 'relay: cancelled', {}, { cause: signal.reason });
  }
  return {
    port,
    get counters() {
      return { ...counters };
    },
    cut,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A full pipe and a full buffer in front of it. */
function windowOf({ bitsPerSecond, delayMs }: Direction): number {
  return bufferBytes + (bitsPerSecond / 8) * (delayMs / 1000);
}

function checkDirection(name: string, { bitsPerSecond, delayMs, fault }: Direction): void {
  const refuse = (what: string) => new TierwiseError('USAGE', `relay, ${name}: ${what}`);
  if (!(bitsPerSecond > 0 && bitsPerSecond < Infinity))
    throw refuse(`bitsPerSecond is ${bitsPerSecond}, not a rate`);
  if (!(delayMs >= 0 && delayMs < Infinity)) throw refuse(`delayMs is ${delayMs}, not a time`);
  if (fault !== undefined && !(Number.isSafeInteger(fault.afterBytes) && fault.afterBytes >= 0))
    throw refuse(`the fault comes after ${fault.afterBytes} bytes, not a whole number`);
}

function listen(listener: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    // After this promise is settled an error means a connection that could not be accepted: its client sees that.
    listener.on('error', (cause) =>
      reject(new TierwiseError('USAGE', `relay: cannot listen on ${port}: ${cause.message}`, {}, { cause })),
    );
    listener.listen(port, '127.0.0.1', () => resolve((listener.address() as AddressInfo).port));
  });
}
