import { access } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { constants } from 'node:zlib';
import fastifyCompress from '@fastify/compress';
import fastifyCors from '@fastify/cors';
import fastifyStatic from '@fastify/static';
import fastifyWebsocket from '@fastify/websocket';
import { TierwiseError, toTierwiseError } from '@tierwise/core';
import { onnxEngine } from '@tierwise/ort';
import fastify, { type FastifyInstance, LogController } from 'fastify';
import type { RefusedBundle } from './bundles.ts';
import { handleErrors } from './errors.ts';
import { serveFiles } from './http-files.ts';
import { serveProtocol } from './http-protocol.ts';
import { Library } from './library.ts';
import { createMetrics } from './metrics.ts';
import { secure, subprotocol } from './security.ts';
import { InferenceService } from './service.ts';
import { closeStreams, serveStream } from './stream.ts';

/** What an edge serves, to whom, and within which limits. */
export interface EdgeOptions {
  /**
   * Folder that holds `NAME.tierwise` folders. It is looked at every second; what has changed and then rested for
   * a second is loaded and takes the place of what was there, without a failed request.
   */
  readonly models: string;
  /** Address to listen on; default 127.0.0.1, so that nobody else reaches it unless told otherwise. */
  readonly host?: string;
  /** Default 8700; 0 takes any free one. */
  readonly port?: number;
  /** Folder of a built page, served at `/`. */
  readonly site?: string;
  /**
   * How long a version is still answered for after another one took its place, also after a restart: its copy is in
   * `.kept` in the models folder. Default 30; 0 keeps none.
   */
  readonly keepDays?: number;
  /** Inference threads; default 1. Each holds every model. */
  readonly workers?: number;
  /** Threads inside one operator, for each worker; default 1. */
  readonly threads?: number;
  /** Samples that may wait for a worker; more are refused with OVERLOADED. Default 64. */
  readonly queueLimit?: number;
  /** Samples of several requests that one run of a worker may hold, where the network allows it; default 32. */
  readonly maxBatch?: number;
  /** Largest request body and frame; default 16 MiB. */
  readonly bodyLimitBytes?: number;
  /** Origins (`https://host`) of other pages that may use this edge, or `*`; default none. */
  readonly allowOrigins?: readonly string[];
  /** With any, inference, metadata and metrics take a request with one of them only; default none. Never logged. */
  readonly tokens?: readonly string[];
  /** Whether pages may also send a random share of the samples that they are sure of, to be counted; default false. */
  readonly audit?: boolean;
  /** How long `close` lets requests finish; default 10,000. */
  readonly drainMs?: number;
  /** Structured logs (pino), by default from `warn` upwards to stderr. Bodies and headers are never logged. */
  readonly logger?: {
    readonly level?: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'silent';
    readonly stream?: { write(line: string): void };
  };
}

/** A running edge. */
export interface Edge {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Names under which models are served now, and bundles that cannot be. */
  readonly models: readonly string[];
  readonly refused: readonly RefusedBundle[];
  /** Looks at the models folder now. @throws TierwiseError FILE_UNREADABLE; everything stays as it is then */
  reload(): Promise<void>;
  /**
   * Goes down in order: readiness turns 503 and new requests get DRAINING, those under way finish or fail at the
   * deadline, WebSockets close with 1001, the port closes, workers end. Idempotent.
   */
  close(): Promise<void>;
}

/** How often the models folder is looked at. */
const lookIntervalMs = 1000;
const dayMs = 86_400_000;

/**
 * Starts an edge and resolves once it answers, with every model loaded.
 * @throws TierwiseError FILE_UNREADABLE for the models folder or the site; USAGE when the port cannot be had or a
 *   token could not be sent
 */
export async function createEdge(options: EdgeOptions): Promise<Edge> {
  const { host = '127.0.0.1', port = 8700, bodyLimitBytes = 16 * 2 ** 20, drainMs = 10_000 } = options;
  const { workers = 1, threads = 1, queueLimit = 64, maxBatch = 32, keepDays = 30 } = options;
  const { allowOrigins = [], tokens = [], audit = false } = options;
  const app = createApp(options, bodyLimitBytes);
  const { log } = app;
  const onRun = (samples: number): void => metrics.ran(samples);
  const engine = onnxEngine({ workers, threads, queueLimit, maxBatch, onRun });
  const library = new Library({ models: options.models, keepMs: keepDays * dayMs, engine, log });
  const metrics = createMetrics(() => ({
    current: library.current.length,
    kept: library.old.length,
    refused: library.refused.length,
    queued: engine.queued,
    running: engine.running,
    connections: app.websocketServer.clients.size,
  }));
  const service = new InferenceService({
    library,
    metrics,
    audit,
    maxBatch: Math.max(1, Math.min(maxBatch, queueLimit)),
  });

  let lastFailure = '';
  const follow = async (): Promise<void> => {
    const failure = await library.look().then(
      () => '',
      (error: unknown) => toTierwiseError(error).message,
    );
    if (failure !== '' && failure !== lastFailure) log.warn(`the models stay as they are: ${failure}`);
    lastFailure = failure;
  };
  let watch: ReturnType<typeof setInterval> | undefined;
  const end = async (): Promise<void> => {
    clearInterval(watch);
    // Idle connections are closed at once; one that is in the middle of something else gets this long.
    const cut = setTimeout(() => app.server.closeAllConnections(), 2000);
    await app.close();
    clearTimeout(cut);
    await library.dispose();
    await engine.dispose();
  };
  try {
    await library.reload();
    handleErrors(app);
    // Bodies are read as bytes whatever their type says: clients of the protocol send several, or none.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) => body);
    // First, so that it knows the connections that later hooks refuse, and ends them.
    await app.register(fastifyWebsocket, {
      options: {
        maxPayload: bodyLimitBytes,
        perMessageDeflate: false,
        handleProtocols: (offered) => offered.has(subprotocol) && subprotocol,
      },
      errorHandler: (error, socket, request) => {
        request.log.info({ reason: error.message }, 'a WebSocket failed');
        socket.terminate();
      },
      preClose: () => closeStreams(app.websocketServer.clients),
    });
    await app.register(fastifyCors, {
      origin: allowOrigins.includes('*') ? '*' : [...allowOrigins],
      methods: ['GET', 'POST'],
      exposedHeaders: ['Inference-Header-Content-Length', 'Retry-After'],
    });
    // After CORS, so that a page may read why it was refused.
    secure(app, { allowOrigins, tokens });
    serveProtocol(app, { library, service, bodyLimitBytes });
    await app.register(async (scope) => serveStream(scope, service));
    serveFiles(app, library);
    app.get('/metrics', async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.text()),
    );
    if (options.site !== undefined) await serveSite(app, options.site);
    await listen(app, host, port);
    watch = setInterval(follow, lookIntervalMs).unref();

    const { port: taken } = app.server.address() as AddressInfo;
    let closing: Promise<void> | undefined;
    return {
      url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`,
      port: taken,
      get models() {
        return library.current.flatMap(({ models }) => models.map(({ name }) => name));
      },
      get refused() {
        return library.refused;
      },
      reload: () => library.reload(),
      close: () => {
        closing ??= service.drain(drainMs).then(end);
        return closing;
      },
    };
  } catch (error) {
    await end();
    throw toTierwiseError(error);
  }
}

function createApp({ logger = {} }: EdgeOptions, bodyLimit: number): FastifyInstance {
  const app = fastify({
    logger: { level: logger.level ?? 'warn', stream: logger.stream ?? process.stderr },
    // Its lines name addresses with their query; ours, below, say which route it was.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    // A client that sends its request slower than this, or says nothing between two, loses its connection.
    requestTimeout: 30_000,
    keepAliveTimeout: 30_000,
    http: { headersTimeout: 15_000 },
    routerOptions: { maxParamLength: 256 },
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions } = request;
    request.log.info(
      { method, route: routeOptions.url, status: reply.statusCode, ms: reply.elapsedTime },
      'answered',
    );
  });
  return app;
}

async function serveSite(app: FastifyInstance, root: string): Promise<void> {
  await access(join(root, 'index.html')).catch((cause: unknown) => {
    throw new TierwiseError(
      'FILE_UNREADABLE',
      `${root} is no site: it has no index.html`,
      { file: root },
      { cause },
    );
  });
  await app.register(async (site) => {
    // Fast levels: each file is compressed anew for each page that fetches it, and that is only once where caches work.
    await site.register(fastifyCompress, {
      encodings: ['br', 'gzip'],
      brotliOptions: { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } },
    });
    await site.register(fastifyStatic, {
      root: resolve(root),
      // Vite puts a hash of the content into the names below assets/.
      setHeaders: (reply, path) => {
        const hashed = /[\\/]assets[\\/]/.test(path);
        reply.header('cache-control', hashed ? 'public, max-age=31536000, immutable' : 'no-cache');
      },
      cacheControl: false,
      // FILE.br and FILE.gz beside FILE, if the team's build makes them.
      preCompressed: true,
      dotfiles: 'ignore',
    });
  });
}

const listenFaults = new Map([
  ['EADDRINUSE', 'another program listens there'],
  ['EADDRNOTAVAIL', 'this machine has no such address'],
  ['EACCES', 'the system does not permit it'],
]);

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    const meaning = listenFaults.get(reason) ?? reason;
    throw new TierwiseError(
      'USAGE',
      `cannot listen on ${host}:${port}: ${meaning}`,
      { host, port },
      { cause },
    );
  }
}
