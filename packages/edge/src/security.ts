import { TierwiseError } from '@tierwise/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';

/**
 * For a page that Vite built, with WebAssembly and workers of its own and nothing from elsewhere. WebSockets are
 * named by scheme: 'self' does not cover them in every browser.
 */
const contentSecurityPolicy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "media-src 'self' blob:",
  "worker-src 'self'",
  "connect-src 'self' ws: wss:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'self'",
].join('; ');

/** Headers on every response, and no request but a plain GET from a page of an origin that is not allowed. */
export function secure(app: FastifyInstance, allowOrigins: readonly string[]): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'content-security-policy': contentSecurityPolicy,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    const reads = request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS';
    if ((!reads || request.headers.upgrade !== undefined) && !fromAllowedOrigin(request, allowOrigins)) {
      throw new TierwiseError(
        'ORIGIN_REFUSED',
        `pages of ${String(request.headers.origin).slice(0, 200)} may not use this edge`,
      );
    }
  });
}

/**
 * Browsers send `Origin` with every WebSocket and POST, and the same-origin rule does not hold for WebSockets:
 * without this check any page could use an edge that its visitor can reach. Other clients send none.
 */
function fromAllowedOrigin({ headers }: FastifyRequest, allowOrigins: readonly string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined || allowOrigins.includes('*') || allowOrigins.includes(origin)) return true;
  try {
    return new URL(origin).host === host;
  } catch {
    return false;
  }
}
