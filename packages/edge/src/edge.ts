import { access } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import fastifyCors from '@fastify/cors';
import fastifyStatic from '@fastify/static';
import fastifyWebsocket from '@fastify/websocket';
import { TierwiseError, toTierwiseError } from '@tierwise/core';
import { onnxEngine } from '@tierwise/ort';
import { createRuntime, type Runtime } from '@tierwise/runtime';
import fastify, { type FastifyInstance, LogController } from 'fastify';
import { type Bundle, type RefusedBundle, readBundles } from './bundles.ts';
import { handleErrors } from './errors.ts';
import { serveFiles } from './http-files.ts';
import { serveProtocol } from './http-protocol.ts';
import { createMetrics } from './metrics.ts';
import { edgePlaceId, findArtifact, modelsOf, type ServedModel } from './models.ts';
import { secure } from './security.ts';
import { InferenceService } from './service.ts';
import { closeStreams, serveStream } from './stream.ts';

export interface EdgeOptions {
  /** Folder that holds `NAME.tierwise` folders. They are read once, when the edge starts. */
  readonly models: string;
  /** Address to listen on; default 127.0.0.1, so that nobody else reaches it unless told otherwise. */
  readonly host?: string;
  /** Default 8700; 0 takes any free one. */
  readonly port?: number;
  /** Folder of a built page, served at `/`. */
  readonly site?: string;
  /** Inference threads; default 1. Each holds every model. */
  readonly workers?: number;
  /** Threads inside one operator, for each worker; default 1. */
  readonly threads?: number;
  /** Samples that may wait for a worker; more are refused with OVERLOADED. Default 64. */
  readonly queueLimit?: number;
  /** Largest request body and frame; default 16 MiB. */
  readonly bodyLimitBytes?: number;
  /** Origins (`https://host`) of other pages that may use this edge, or `*`; default none. */
  readonly allowOrigins?: readonly string[];
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
  /** Names under which models are served. */
  readonly models: readonly string[];
  readonly refused: readonly RefusedBundle[];
  /**
   * Goes down in order: readiness turns 503 and new requests get DRAINING, those under way finish or fail at the
   * deadline, WebSockets close with 1001, the port closes, workers end. Idempotent.
   */
  close(): Promise<void>;
}

/**
 * Starts an edge and resolves once it answers, with every model loaded.
 * @throws TierwiseError FILE_UNREADABLE for the models folder or the site; USAGE when the port cannot be had
 */
export async function createEdge(options: EdgeOptions): Promise<Edge> {
  const { host = '127.0.0.1', port = 8700, bodyLimitBytes = 16 * 2 ** 20, drainMs = 10_000 } = options;
  const read = await readBundles(options.models);
  const engine = onnxEngine({
    workers: options.workers ?? 1,
    threads: options.threads ?? 1,
    queueLimit: options.queueLimit ?? 64,
  });
  const runtime = createRuntime({
    place: edgePlaceId,
    engines: [engine],
    artifact: async (digest) => findArtifact(read.bundles, digest).bytes,
    now: () => performance.now(),
  });
  const app = createApp(options, bodyLimitBytes);
  const end = async (): Promise<void> => {
    // Idle connections are closed at once; one that is in the middle of something else gets this long.
    const cut = setTimeout(() => app.server.closeAllConnections(), 2000);
    await app.close();
    clearTimeout(cut);
    await runtime.dispose();
    await engine.dispose();
  };
  try {
    const { models, bundles, refused } = await loadModels(runtime, read);
    for (const { folder, error } of refused) {
      app.log.warn({ folder, code: error.code }, `${folder}.tierwise is not served: ${error.message}`);
    }
    const metrics = createMetrics(() => ({
      served: bundles.length,
      refused: refused.length,
      queued: engine.queued,
      connections: app.websocketServer.clients.size,
    }));
    const service = new InferenceService(models, runtime, metrics);

    handleErrors(app);
    // First, so that it knows the connections that later hooks refuse, and ends them.
    await app.register(fastifyWebsocket, {
      options: { maxPayload: bodyLimitBytes, perMessageDeflate: false },
      errorHandler: (error, socket, request) => {
        request.log.info({ reason: error.message }, 'a WebSocket failed');
        socket.terminate();
      },
      preClose: () => closeStreams(app.websocketServer.clients),
    });
    const allowOrigins = options.allowOrigins ?? [];
    secure(app, allowOrigins);
    await app.register(fastifyCors, {
      origin: allowOrigins.includes('*') ? '*' : [...allowOrigins],
      methods: ['GET', 'POST'],
      exposedHeaders: ['Inference-Header-Content-Length', 'Retry-After'],
    });
    await app.register(async (scope) => serveProtocol(scope, service, { refused, bodyLimitBytes }));
    await app.register(async (scope) => serveStream(scope, service));
    serveFiles(app, bundles);
    app.get('/metrics', async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.text()),
    );
    if (options.site !== undefined) await serveSite(app, options.site);
    await listen(app, host, port);

    const { port: taken } = app.server.address() as AddressInfo;
    let closing: Promise<void> | undefined;
    return {
      url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`,
      port: taken,
      models: models.map(({ name }) => name),
      refused,
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

/** Loads what every bundle offers. A bundle whose network cannot be loaded joins the refused ones. */
async function loadModels(
  runtime: Runtime,
  read: { readonly bundles: readonly Bundle[]; readonly refused: readonly RefusedBundle[] },
): Promise<{ models: ServedModel[]; bundles: Bundle[]; refused: RefusedBundle[] }> {
  const models: ServedModel[] = [];
  const bundles: Bundle[] = [];
  const refused = [...read.refused];
  for (const bundle of read.bundles) {
    try {
      const own = modelsOf(bundle);
      for (const { plan } of own) await runtime.prepare(plan);
      models.push(...own);
      bundles.push(bundle);
    } catch (error) {
      refused.push({ folder: bundle.folder, error: toTierwiseError(error) });
    }
  }
  return { models, bundles, refused };
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
  await app.register(fastifyStatic, {
    root: resolve(root),
    // Vite puts a hash of the content into the names below assets/.
    setHeaders: (reply, path) => {
      const hashed = /[\\/]assets[\\/]/.test(path);
      reply.header('cache-control', hashed ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
    cacheControl: false,
    dotfiles: 'ignore',
  });
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    const meaning = reason === 'EADDRINUSE' ? 'another program listens there' : reason;
    throw new TierwiseError(
      'USAGE',
      `cannot listen on ${host}:${port}: ${meaning}`,
      { host, port },
      { cause },
    );
  }
}
