import { TierwiseError, toTierwiseError } from '@tierwise/core';
import {
  abortError,
  packedBytes,
  readReply,
  requestMessage,
  type TransportReply,
  type TransportRequest,
} from '@tierwise/runtime';
import { decodeFrame, encodeFrame, errorOf, type InferFailure, type InferResponse } from '@tierwise/wire';
import type { EdgeState, Socket, SocketConstructor } from './api.ts';

/** How long a request, or an attempt to connect, may take unless the caller says otherwise. */
const defaultTimeoutMs = 5000;
/** Pauses between attempts in the background: doubling, each spread over 0.5 to 1 times its length. */
const firstPauseMs = 250;
const longestPauseMs = 5000;
/** The longest time that a timer takes; a longer one would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

export interface LinkOptions {
  /** ws: or wss: */
  readonly url: string;
  readonly WebSocket: SocketConstructor;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly onState: (state: EdgeState) => void;
}

/**
 * One WebSocket to an edge, carrying any number of requests at once, matched to replies by id. A lost connection
 * fails every request under way at once; the next request, or else the end of a pause, connects again.
 */
export interface Link {
  /** `connecting` until the first attempt ends. */
  readonly state: EdgeState;
  /**
   * A Transport.
   * @throws TierwiseError EDGE_UNREACHABLE, TIMEOUT, CANCELLED, DISPOSED, FRAME_CORRUPT, or what the edge answered
   */
  send(request: TransportRequest): Promise<TransportReply>;
  /** Fails every request under way with DISPOSED and stops connecting. Idempotent. */
  close(): void;
}

interface Pending {
  /** Hands the request to an open socket, once. */
  transmit(socket: Socket): void;
  reply(message: InferResponse | InferFailure, bytes: number): void;
  fail(error: TierwiseError): void;
}

interface Connection {
  readonly socket: Socket;
  open: boolean;
  /** Messages that have arrived on it. */
  heard: number;
  giveUp: ReturnType<typeof setTimeout>;
}

/** Opens the link; the first attempt is under way when this returns. */
export function openLink({ url, WebSocket, random, onState }: LinkOptions): Link {
  let state: EdgeState = 'connecting';
  let connection: Connection | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let lastId = 0;
  let closed = false;
  const pending = new Map<string, Pending>();

  function setState(next: EdgeState): void {
    if (next === state || closed) return;
    state = next;
    onState(state);
  }

  function connect(): void {
    clearTimeout(retry);
    let socket: Socket;
    try {
      socket = new WebSocket(url);
    } catch (cause) {
      lose(undefined, unreachable(`${url} cannot be opened: ${String(cause)}`, cause));
      return;
    }
    socket.binaryType = 'arraybuffer';
    const opening: Connection = {
      socket,
      open: false,
      heard: 0,
      giveUp: setTimeout(
        () => lose(opening, unreachable(`${url} did not answer in ${defaultTimeoutMs} ms`)),
        defaultTimeoutMs,
      ),
    };
    connection = opening;
    socket.addEventListener('open', () => {
      if (connection !== opening) return;
      clearTimeout(opening.giveUp);
      opening.open = true;
      setState('connected');
      for (const request of [...pending.values()]) request.transmit(socket);
    });
    socket.addEventListener('message', ({ data }) => receive(opening, data));
    // A close event always follows.
    socket.addEventListener('error', () => {});
    socket.addEventListener('close', () => {
      lose(
        opening,
        unreachable(opening.open ? `the connection to ${url} was lost` : `${url} took no connection`),
      );
    });
  }

  /** Ends `lost`, if it is still the connection, with everything that waits for it, and plans the next attempt. */
  function lose(lost: Connection | undefined, error: TierwiseError): void {
    if (connection !== lost) return;
    connection = undefined;
    clearTimeout(lost?.giveUp);
    lost?.socket.close();
    if (!closed) {
      retry = setTimeout(connect, pauseMs(failures++, random()));
    }
    setState('unreachable');
    for (const request of [...pending.values()]) request.fail(error);
  }

  function receive(from: Connection, data: unknown): void {
    if (connection !== from) return;
    from.heard++;
    try {
      if (!(data instanceof ArrayBuffer)) throw new TierwiseError('FRAME_CORRUPT', `${url} sent text`);
      const message = decodeFrame(new Uint8Array(data));
      if (message.kind === 'request') throw new TierwiseError('FRAME_CORRUPT', `${url} sent a request`);
      failures = 0;
      if (message.id !== '') pending.get(message.id)?.reply(message, data.byteLength);
      else if (message.kind === 'failure') {
        for (const request of [...pending.values()]) request.fail(errorOf(message));
      }
    } catch (error) {
      lose(from, toTierwiseError(error));
    }
  }

  function send(request: TransportRequest): Promise<TransportReply> {
    return new Promise((resolve, reject) => {
      const { signal, timeoutMs = defaultTimeoutMs } = request;
      if (closed) throw disposed();
      if (signal?.aborted) throw abortError(signal);
      const id = String(++lastId);
      const message = requestMessage(request, id);
      const frame = encodeFrame(message);
      let sentOn: Connection | undefined;
      let heardBefore = 0;

      const stop = (): void => {
        pending.delete(id);
        clearTimeout(deadline);
        signal?.removeEventListener('abort', cancel);
      };
      const fail = (error: TierwiseError): void => {
        stop();
        reject(error);
      };
      const cancel = (): void => {
        if (signal !== undefined) fail(abortError(signal));
      };
      const deadline = setTimeout(
        () => {
          fail(new TierwiseError('TIMEOUT', `${url} gave no answer in ${timeoutMs} ms`, { timeoutMs }));
          // TCP can take minutes to notice that the other end is gone; silence for this long is answer enough.
          if (timeoutMs >= defaultTimeoutMs && sentOn?.heard === heardBefore) {
            lose(sentOn, unreachable(`${url} has fallen silent`));
          }
        },
        Math.min(timeoutMs, longestTimerMs),
      );
      signal?.addEventListener('abort', cancel);

      pending.set(id, {
        fail,
        transmit(socket) {
          sentOn = connection;
          heardBefore = connection?.heard ?? 0;
          socket.send(frame);
          request.onSent(packedBytes(message));
        },
        reply(answer, bytes) {
          stop();
          if (answer.kind === 'failure') return reject(errorOf(answer));
          try {
            resolve({ ...readReply(answer), uplinkBytes: frame.length, downlinkBytes: bytes });
          } catch (error) {
            reject(error);
          }
        },
      });
      if (connection === undefined) connect();
      else if (connection.open) pending.get(id)?.transmit(connection.socket);
    });
  }

  connect();
  return {
    get state() {
      return state;
    },
    send,
    close() {
      closed = true;
      clearTimeout(retry);
      lose(connection, disposed());
    },
  };
}

/** The pause after `failures` failures in a row; `uniform` in [0, 1) spreads the devices of one edge. */
export function pauseMs(failures: number, uniform: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** failures) * (0.5 + uniform / 2);
}

function unreachable(message: string, cause?: unknown): TierwiseError {
  return new TierwiseError('EDGE_UNREACHABLE', message, {}, { cause });
}

function disposed(): TierwiseError {
  return new TierwiseError('DISPOSED', 'the composite has been disposed');
}
