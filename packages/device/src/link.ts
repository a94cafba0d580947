import { TierwiseError, toTierwiseError } from '@tierwise/core';
import {
  abortError,
  readReply,
  requestMessage,
  sentWith,
  type TransportReply,
  type TransportRequest,
} from '@tierwise/runtime';
import { decodeFrame, encodeFrame, errorOf, type InferFailure, type InferResponse } from '@tierwise/wire';
import type { EdgeState, Socket, SocketConstructor } from './api.ts';

/** How long a request may take unless the caller says otherwise. */
const defaultTimeoutMs = 5000;
/** How long an attempt to connect may take: less, so that time is left to go by HTTP. */
const attemptMs = 2000;
/** Pauses between attempts in the background: doubling, each spread over 0.5 to 1 times its length. */
const firstPauseMs = 250;
const longestPauseMs = 5000;
/** An edge sends an empty message every 30 s: one that has done so and then is silent for longer than two of them is gone. */
const silenceMs = 70_000;
/** The longest time that a timer takes; a longer one would fire at once. */
const longestTimerMs = 2 ** 31 - 1;
/** What an edge takes in one parameter. */
const mostExits = 1e6;

export interface LinkOptions {
  /** ws: or wss:; the same under http: or https: takes a frame by POST. */
  readonly url: string;
  /** Undefined where there is none: then all goes by POST. */
  readonly WebSocket: SocketConstructor | undefined;
  readonly fetch: typeof fetch;
  /** One of the edge's tokens, when it wants one. */
  readonly token?: string | undefined;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Samples that the device answered by itself and no edge knows of. The link takes what it tells. */
  readonly told: { deviceExits: number };
  readonly onState: (state: EdgeState) => void;
}

/**
 * One WebSocket to an edge, carrying any number of requests at once, matched to replies by id. When it cannot be opened,
 * or is lost, every request that waits for it goes by HTTP instead, as the same frame: its key tells the edge that it is
 * the same request. The next request, or else the end of a pause, connects again.
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
  /** Hands the request to the open socket, unless it went by HTTP. */
  transmit(): void;
  reply(message: InferResponse | InferFailure, bytes: number): void;
  fail(error: TierwiseError): void;
  /** Goes by HTTP, once; when that brings no answer, it fails with `error`. */
  goByHttp(error: TierwiseError): void;
}

interface Connection {
  readonly socket: Socket;
  open: boolean;
  /** Messages that have arrived on it. */
  heard: number;
  /** Until it is open, ends the attempt; later, a connection that has fallen silent. */
  giveUp: ReturnType<typeof setTimeout>;
}

/** Opens the link; the first attempt is under way when this returns. */
export function openLink({ url, WebSocket, fetch, token, random, told, onState }: LinkOptions): Link {
  const httpUrl = url.replace(/^ws/, 'http');
  const keyPrefix = Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join(
    '',
  );
  let state: EdgeState = 'connecting';
  let connection: Connection | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let lastId = 0;
  let closed = false;
  /** Whether HTTP is known to pass where no WebSocket does. */
  let httpPasses = WebSocket === undefined;
  const pending = new Map<string, Pending>();

  const silent = () => unreachable(`${url} has fallen silent`);

  function setState(next: EdgeState): void {
    if (next === state || closed) return;
    state = next;
    onState(state);
  }

  function connect(): void {
    clearTimeout(retry);
    if (WebSocket === undefined) return;
    let socket: Socket;
    try {
      socket = new WebSocket(url, token === undefined ? [] : ['tierwise', `bearer.${token}`]);
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
        () => lose(opening, unreachable(`${url} did not answer in ${attemptMs} ms`)),
        attemptMs,
      ),
    };
    connection = opening;
    socket.addEventListener('open', () => {
      if (connection !== opening) return;
      clearTimeout(opening.giveUp);
      opening.open = true;
      httpPasses = false;
      setState('connected');
      for (const request of [...pending.values()]) request.transmit();
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

  /** Ends `lost`, if it is still the connection; what waits for it goes by HTTP, and the next attempt is planned. */
  function lose(lost: Connection | undefined, error: TierwiseError): void {
    if (connection !== lost) return;
    connection = undefined;
    clearTimeout(lost?.giveUp);
    lost?.socket.close();
    if (!closed) {
      retry = setTimeout(connect, pauseMs(failures++, random()));
    }
    if (!httpPasses) setState('unreachable');
    for (const request of [...pending.values()]) closed ? request.fail(error) : request.goByHttp(error);
  }

  function receive(from: Connection, data: unknown): void {
    if (connection !== from) return;
    from.heard++;
    try {
      if (!(data instanceof ArrayBuffer)) throw new TierwiseError('FRAME_CORRUPT', `${url} sent text`);
      if (data.byteLength === 0) {
        clearTimeout(from.giveUp);
        from.giveUp = setTimeout(() => lose(from, silent()), silenceMs);
        return;
      }
      const message = readAnswer(new Uint8Array(data));
      failures = 0;
      if (message.id !== '') pending.get(message.id)?.reply(message, data.byteLength);
      else if (message.kind === 'failure') {
        for (const request of [...pending.values()]) request.fail(errorOf(message));
      }
    } catch (error) {
      lose(from, toTierwiseError(error));
    }
  }

  /** The answer to one frame by POST, and its bytes. Rejects when what comes back is no message. */
  async function post(frame: Uint8Array<ArrayBuffer>, signal: AbortSignal) {
    const headers = { 'content-type': 'application/octet-stream' };
    const response = await fetch(httpUrl, {
      method: 'POST',
      headers: token === undefined ? headers : { ...headers, authorization: `Bearer ${token}` },
      body: frame,
      signal,
    });
    let body = new Uint8Array(await response.arrayBuffer());
    // What an edge refuses before it has read the frame is JSON alone.
    const json = response.headers.get('content-type')?.startsWith('application/json');
    if (json) {
      const framed = new Uint8Array(4 + body.length);
      new DataView(framed.buffer).setUint32(0, body.length, true);
      framed.set(body, 4);
      body = framed;
    }
    const message = readAnswer(body);
    // JSON without a code that is known comes from somebody else: a proxy, or a server that was cut off.
    if (json && message.kind === 'failure' && message.code === 'INTERNAL') throw errorOf(message);
    return { message, bytes: body.length };
  }

  function send(request: TransportRequest): Promise<TransportReply> {
    return new Promise((resolve, reject) => {
      const { signal, policies } = request;
      const timeoutMs = Math.min(policies.timeoutMs ?? defaultTimeoutMs, longestTimerMs);
      if (closed) throw disposed();
      if (signal?.aborted) throw abortError(signal);
      const id = String(++lastId);
      const deviceExits = Math.min(told.deviceExits, mostExits);
      const message = requestMessage(request, id, {
        key: `${keyPrefix}.${id}`,
        deadlineMs: timeoutMs,
        ...(deviceExits > 0 ? { deviceExits } : {}),
      });
      const frame = encodeFrame(message);
      told.deviceExits -= deviceExits;
      const ended = new AbortController();
      let sent = false;
      let byHttp = false;
      let sentOn: Connection | undefined;
      let heardBefore = 0;

      const stop = (): void => {
        pending.delete(id);
        clearTimeout(deadline);
        signal?.removeEventListener('abort', cancel);
        ended.abort();
      };
      const fail = (error: TierwiseError): void => {
        if (!pending.has(id)) return;
        stop();
        told.deviceExits += deviceExits;
        reject(error);
      };
      const cancel = (): void => {
        if (signal !== undefined) fail(abortError(signal));
      };
      const deadline = setTimeout(() => {
        fail(new TierwiseError('TIMEOUT', `${url} gave no answer in ${timeoutMs} ms`, { timeoutMs }));
        // TCP can take minutes to notice that the other end is gone; silence for this long is answer enough.
        if (timeoutMs >= defaultTimeoutMs && sentOn?.heard === heardBefore) {
          lose(sentOn, silent());
        }
      }, timeoutMs);
      signal?.addEventListener('abort', cancel);

      const handOver = (): void => {
        if (!sent) request.onSent(sentWith(request, message));
        sent = true;
      };
      const mine: Pending = {
        fail,
        transmit() {
          if (byHttp || connection === undefined) return;
          sentOn = connection;
          heardBefore = connection.heard;
          connection.socket.send(frame);
          handOver();
        },
        reply(answer, bytes) {
          if (answer.kind === 'failure') return fail(errorOf(answer));
          try {
            const reply = { ...readReply(answer), uplinkBytes: frame.length, downlinkBytes: bytes };
            stop();
            resolve(reply);
          } catch (error) {
            fail(toTierwiseError(error));
          }
        },
        goByHttp(error) {
          if (byHttp) return;
          byHttp = true;
          post(frame, ended.signal).then(
            (answer) => {
              if (!pending.has(id)) return;
              handOver();
              httpPasses = connection?.open !== true;
              setState('connected');
              mine.reply(answer.message, answer.bytes);
            },
            () => {
              if (!pending.has(id)) return;
              if (WebSocket !== undefined) httpPasses = false;
              if (connection?.open !== true) setState('unreachable');
              fail(error);
            },
          );
        },
      };
      pending.set(id, mine);
      if (connection?.open) mine.transmit();
      else if (httpPasses) mine.goByHttp(unreachable(`${httpUrl} did not answer`));
      else if (connection === undefined) connect();
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

/** @throws TierwiseError FRAME_CORRUPT when `bytes` are not a frame that answers */
function readAnswer(bytes: Uint8Array): InferResponse | InferFailure {
  const message = decodeFrame(bytes);
  if (message.kind === 'request') throw new TierwiseError('FRAME_CORRUPT', 'a request came as an answer');
  return message;
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
