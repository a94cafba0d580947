import type { WebSocket } from '@fastify/websocket';
import { TierwiseError, toTierwiseError } from '@tierwise/core';
import { decodeFrame, encodeFrame, failureOf, type InferRequest } from '@tierwise/wire';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { InferenceService } from './service.ts';

/** Requests of one connection that may be under way; one more is answered with OVERLOADED. */
const maxInFlight = 32;
/** Answers that a client does not fetch; beyond that it is cut off. */
const maxUnsentBytes = 4 * 2 ** 20;
/** How often a silent connection is asked whether it lives, and how long it may take to say so. */
const pingIntervalMs = 30_000;

/** What `ws` delivers: its default binary type gives a Buffer. */
type Frame = Buffer | ArrayBuffer | Buffer[];

/** `/v2/stream`: a request in each binary frame, answered by a frame with the same id, in any order. */
export function serveStream(app: FastifyInstance, service: InferenceService): void {
  app.get('/v2/stream', { websocket: true }, (socket, request) => serve(socket, service, request.log));
}

function serve(socket: WebSocket, service: InferenceService, log: FastifyBaseLogger): void {
  const underWay = new Set<AbortController>();
  keepAlive(socket);

  const send = (bytes: Uint8Array): void => {
    if (socket.readyState !== socket.OPEN) return;
    socket.send(bytes);
    if (socket.bufferedAmount > maxUnsentBytes) {
      log.info('a client does not fetch its answers');
      socket.terminate();
    }
  };

  const answer = async (bytes: Uint8Array, abort: AbortController): Promise<void> => {
    let id = '';
    const parse = (): InferRequest => {
      const message = decodeFrame(bytes);
      id = message.id;
      if (message.kind !== 'request') {
        throw new TierwiseError('REQUEST_INVALID', `a ${message.kind} was sent where a request is expected`);
      }
      if (underWay.size > maxInFlight) {
        throw new TierwiseError('OVERLOADED', `more than ${maxInFlight} requests of one connection at once`);
      }
      return message;
    };
    try {
      const arrival = { transport: 'websocket', uplinkBytes: bytes.length, abort } as const;
      send(encodeFrame(await service.answer(parse, arrival)));
    } catch (thrown) {
      const error = toTierwiseError(thrown);
      if (error.code === 'INTERNAL') log.error({ err: error.cause ?? error }, error.message);
      send(encodeFrame(failureOf(error, id || readId(bytes))));
    }
  };

  socket.on('message', (data: Frame, isBinary: boolean) => {
    if (!isBinary) {
      const error = new TierwiseError('FRAME_CORRUPT', 'a text frame; this stream takes binary frames');
      send(encodeFrame(failureOf(error)));
      return;
    }
    const abort = new AbortController();
    underWay.add(abort);
    answer(data as Buffer, abort).finally(() => underWay.delete(abort));
  });
  socket.on('close', () => {
    for (const abort of underWay) abort.abort();
  });
}

/** The id in a header that may break the protocol otherwise, so that its sender learns of the failure; or ''. */
function readId(bytes: Uint8Array): string {
  try {
    const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
    const json: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
    const id = typeof json === 'object' && json !== null && 'id' in json ? json.id : undefined;
    return typeof id === 'string' ? id.slice(0, 128) : '';
  } catch {
    return '';
  }
}

/** Ends connections whose other end is gone without a word: their requests would be kept for ever. */
function keepAlive(socket: WebSocket): void {
  let alive = true;
  const timer = setInterval(() => {
    if (!alive) {
      socket.terminate();
      return;
    }
    alive = false;
    socket.ping();
  }, pingIntervalMs);
  timer.unref();
  socket.on('pong', () => {
    alive = true;
  });
  socket.on('message', () => {
    alive = true;
  });
  socket.on('close', () => clearInterval(timer));
}

/** Says that the server goes away (1001) to every connection, and cuts those that do not answer in a second. */
export async function closeStreams(sockets: Iterable<WebSocket>): Promise<void> {
  const closing = [...sockets].map(
    (socket) =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(() => socket.terminate(), 1000);
        socket.once('close', () => {
          clearTimeout(timer);
          resolve();
        });
        socket.close(1001, 'the edge is going down');
      }),
  );
  await Promise.all(closing);
}
