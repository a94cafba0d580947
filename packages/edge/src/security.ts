import { createHash, timingSafeEqual } from 'node:crypto';
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

/** A token can be a word of a header and of a WebSocket's subprotocol. */
const tokenForm = /^[A-Za-z0-9._~-]{16,256}$/;
/** How a page, which cannot set the headers of a WebSocket, gives its token: beside the subprotocol `tierwise`. */
export const subprotocol = 'tierwise';
const tokenSubprotocol = 'bearer.';

export interface SecurityOptions {
  readonly allowOrigins: readonly string[];
  /** With any, everything below /v2 but /v2/health, and /metrics, takes one of them. */
  readonly tokens: readonly string[];
}

/**
 * Headers on every response, no request but a plain GET from a page of an origin that is not allowed, and none
 * without a token where one is asked for.
 * @throws TierwiseError USAGE when a token could not be sent, or is short enough to be guessed
 */
export function secure(app: FastifyInstance, { allowOrigins, tokens }: SecurityOptions): void {
  const digests = tokens.map((token, i) => {
    if (tokenForm.test(token)) return digestOf(token);
    throw new TierwiseError(
      'USAGE',
      `token ${i + 1} is not 16 to 256 letters, digits, ".", "_", "~" and "-"`,
    );
  });
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
    const { url: route = '' } = request.routeOptions;
    const guarded = (/^\/v2(\/|$)/.test(route) && !route.startsWith('/v2/health/')) || route === '/metrics';
    if (guarded && digests.length > 0 && !hasToken(request, digests)) {
      throw new TierwiseError('TOKEN_REFUSED', 'this edge takes requests with one of its tokens only');
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

function hasToken({ headers }: FastifyRequest, digests: readonly Buffer[]): boolean {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((part) => part.trim());
  const given =
    /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ??
    offered.find((part) => part.startsWith(tokenSubprotocol))?.slice(tokenSubprotocol.length);
  if (given === undefined) return false;
  const digest = digestOf(given);
  return digests.some((known) => timingSafeEqual(known, digest));
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
