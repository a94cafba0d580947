import type { WebSocket } from '@fastify/websocket';
import { TierwiseError } from '@tierwise/core';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { statusOf } from './errors.ts';
import { answerFrame, failureFrame } from './frames.ts';
import type { InferenceService } from './service.ts';

/** Requests of one connection that may be under way; one more is answered with OVERLOADED. */
const maxInFlight = 32;
/** Answers that a client does not fetch; beyond that it is cut off. */
const maxUnsentBytes = 4 * 2 ** 20;
/**
 * How often a connection is asked whether it lives, and how long it may take to say so; and how often it is told that
 * this end does, by an empty message: a page's script does not see pings.
 */
const beatMs = 30_000;

/** What `ws` delivers: its default binary type gives a Buffer. */
type Frame = Buffer | ArrayBuffer | Buffer[];

/**
 * `/v2/stream`: over a WebSocket a request in each binary frame, answered by a frame with the same id, in any order;
 * by POST one frame, answered by one, for networks that let no WebSocket pass.
 */
export function serveStream(app: FastifyInstance, service: InferenceService): void {
  app.get('/v2/stream', { websocket: true }, (socket, request) => serve(socket, service, request.log));
  app.post('/v2/stream', async (request, reply) => {
    const abort = new AbortController();
    reply.raw.once('close', () => abort.abort());
    const bytes = request.body instanceof Uint8Array ? request.body : new Uint8Array();
    const { frame, error } = await answerFrame(service, bytes, {
      transport: 'http',
      abort,
      log: request.log,
    });
    if (error !== undefined) statusOf(reply, error);
    return reply.type('application/octet-stream').send(Buffer.from(frame.buffer));
  });
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

  const check = (): void => {
    if (underWay.size > maxInFlight) {
      throw new TierwiseError('OVERLOADED', `more than ${maxInFlight} requests of one connection at once`);
    }
  };

  socket.on('message', (data: Frame, isBinary: boolean) => {
    if (!isBinary) {
      const error = new TierwiseError('FRAME_CORRUPT', 'a text frame; this stream takes binary frames');
      send(failureFrame(error, new Uint8Array()));
      return;
    }
    const abort = new AbortController();
    underWay.add(abort);
    answerFrame(service, data as Buffer, { transport: 'websocket', abort, check, log })
      .then(({ frame }) => send(frame))
      .finally(() => underWay.delete(abort));
  });
  socket.on('close', () => {
    for (const abort of underWay) abort.abort();
  });
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
    socket.send(new Uint8Array());
  }, beatMs);
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
