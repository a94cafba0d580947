import { errorTable, isTierwiseError, remedies, TierwiseError, toTierwiseError } from '@tierwise/core';
import type { FastifyInstance, FastifyReply } from 'fastify';

/** What Fastify throws, as far as it matters here. */
function fromFastify(error: unknown): TierwiseError {
  if (!(error instanceof Error) || isTierwiseError(error) || !('statusCode' in error)) {
    return toTierwiseError(error);
  }
  if (error.statusCode === 413) {
    return new TierwiseError(
      'BODY_TOO_LARGE',
      'the request is larger than this edge takes',
      {},
      { cause: error },
    );
  }
  const isClients = typeof error.statusCode === 'number' && error.statusCode < 500;
  return isClients
    ? new TierwiseError('REQUEST_INVALID', error.message, {}, { cause: error })
    : toTierwiseError(error);
}

/** Sets the status of the error, and when to try again. */
export function statusOf(reply: FastifyReply, { code, message, details }: TierwiseError): void {
  if (code !== 'INTERNAL') reply.log.info({ code, details }, message);
  if (code === 'OVERLOADED' || code === 'DRAINING') reply.header('retry-after', '1');
  if (code === 'TOKEN_REFUSED') reply.header('www-authenticate', 'Bearer');
  reply.code(errorTable[code].status);
}

/** Answers with the error: its status, message, code and remedy. */
export function sendError(reply: FastifyReply, thrown: unknown): FastifyReply {
  const error = fromFastify(thrown);
  const { message, code } = error;
  if (code === 'INTERNAL') reply.log.error({ err: error.cause ?? error }, message);
  statusOf(reply, error);
  return reply.send({ error: message, code, remedy: remedies[code] });
}

export function handleErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, _request, reply) => sendError(reply, error));
  app.setNotFoundHandler((request, reply) => {
    // Without the query, which may hold a token: messages are logged.
    const [path = ''] = request.url.split('?', 1);
    const message = `there is nothing at ${request.method} ${path.slice(0, 200)}`;
    return sendError(reply, new TierwiseError('ADDRESS_UNKNOWN', message));
  });
}
