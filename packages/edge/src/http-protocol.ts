import { readFileSync } from 'node:fs';
import { type Infer, schema as s, TierwiseError } from '@tierwise/core';
import { decodeBody, encodeBody, type InferRequest, type InferResponse, wantsBinary } from '@tierwise/wire';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { inflated } from './content-encoding.ts';
import { describeModel, modelConfig, modelStatistics } from './descriptions.ts';
import type { Library } from './library.ts';
import type { ServedModel } from './models.ts';
import type { InferenceService } from './service.ts';

/** Where JSON ends and tensors begin, of Triton's binary tensor data extension. */
const jsonLengthHeader = 'inference-header-content-length';

const { version: packageVersion } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

const IndexRequestSchema = s.object({ ready: s.optional(s.boolean(), false) });

interface ModelParams {
  readonly model: string;
  /** An address may name a version or leave it out. */
  readonly version?: string;
}
type ModelRoute = { Params: ModelParams };

/** The REST part of the Open Inference Protocol v2, with binary tensors and the index of the repository. */
export function serveProtocol(
  app: FastifyInstance,
  {
    library,
    service,
    bodyLimitBytes,
  }: { library: Library; service: InferenceService; bodyLimitBytes: number },
): void {
  app.get('/v2', async () => ({
    name: 'tierwise-edge',
    version: packageVersion,
    extensions: ['binary_tensor_data', 'model_repository', 'model_configuration', 'statistics'],
  }));
  app.get('/v2/health/live', async () => ({ live: true }));
  app.get('/v2/health/ready', async (_request, reply) => {
    const models = library.current.flatMap((current) => current.models).length;
    const ready = !service.draining && models > 0;
    return reply.code(ready ? 200 : 503).send({
      ready,
      models,
      refused: library.refused.map(({ folder, error }) => ({
        folder,
        error: error.message,
        code: error.code,
      })),
    });
  });

  const index = async (request: FastifyRequest): Promise<object[]> => {
    const onlyReady = parseIndexRequest(request.body).ready;
    const served = allModels(library).map(({ name, version }) => ({
      name,
      version,
      state: 'READY',
      reason: '',
    }));
    const broken = library.refused.map(({ folder, error }) => ({
      name: folder,
      version: '',
      state: 'UNAVAILABLE',
      reason: error.message,
    }));
    return onlyReady ? served : [...served, ...broken];
  };
  app.get('/v2/repository/index', index);
  app.post('/v2/repository/index', index);
  app.get('/v2/models/stats', async () => modelStatistics(allModels(library)));

  const find = ({ params }: FastifyRequest<ModelRoute>): ServedModel =>
    library.model(params.model, { version: params.version });
  const versions = ({ name }: ServedModel): string[] =>
    library.versionsOf(name).map(({ version }) => version);
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
    app.get<ModelRoute>(path, async (request) => {
      const model = find(request);
      return describeModel(model, versions(model));
    });
    app.get<ModelRoute>(`${path}/ready`, async (request, reply) =>
      reply.code(service.draining ? 503 : 200).send({ name: find(request).name, ready: !service.draining }),
    );
    app.get<ModelRoute>(`${path}/config`, async (request) => modelConfig(find(request)));
    app.get<ModelRoute>(`${path}/stats`, async (request) => modelStatistics([find(request)]));
    app.get<ModelRoute>(`${path}/audit`, async (request) => {
      const { name, version, audit, manifest } = find(request);
      return { name, version, ...audit.report(manifest.labels) };
    });
    app.post<ModelRoute>(`${path}/infer`, async (request, reply) =>
      infer(service, bodyLimitBytes, request, reply),
    );
  }
}

function allModels(library: Library): ServedModel[] {
  const names = [...library.current, ...library.old].flatMap(({ models }) => models.map(({ name }) => name));
  return [...new Set(names)].flatMap((name) => library.versionsOf(name));
}

async function infer(
  service: InferenceService,
  bodyLimitBytes: number,
  http: FastifyRequest<ModelRoute>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const abort = new AbortController();
  reply.raw.once('close', () => abort.abort());
  const sent = http.body instanceof Uint8Array ? http.body : new Uint8Array();
  const body = await inflated(sent, http.headers['content-encoding'], bodyLimitBytes);
  const { model: modelName, version } = http.params;
  let request: InferRequest | undefined;
  const parse = (): InferRequest => {
    request = parseRequest(body, http.headers[jsonLengthHeader]);
    return request;
  };
  const arrival = { transport: 'http', modelName, version, uplinkBytes: sent.length, abort } as const;
  const response = await service.answer(parse, arrival);
  return sendResponse(reply, response, request!);
}

function parseRequest(body: Uint8Array, jsonLength: string | string[] | undefined): InferRequest {
  const length = jsonLength === undefined ? undefined : Number(jsonLength);
  if (Number.isNaN(length)) {
    throw new TierwiseError('REQUEST_INVALID', 'Inference-Header-Content-Length is not a number of bytes');
  }
  const message = decodeBody(body, length);
  if (message.kind === 'request') return message;
  throw new TierwiseError('REQUEST_INVALID', `the body is a ${message.kind}, not a request with "inputs"`);
}

function sendResponse(reply: FastifyReply, response: InferResponse, request: InferRequest): FastifyReply {
  const { bytes, jsonLength } = encodeBody(response, { asJson: (output) => !wantsBinary(request, output) });
  if (jsonLength < bytes.length) {
    reply.header(jsonLengthHeader, String(jsonLength)).type('application/octet-stream');
  } else {
    reply.type('application/json');
  }
  return reply.send(Buffer.from(bytes.buffer));
}

function parseIndexRequest(body: unknown): Infer<typeof IndexRequestSchema> {
  if (!(body instanceof Uint8Array) || body.length === 0) return { ready: false };
  const refuse = (): never => {
    throw new TierwiseError('REQUEST_INVALID', 'the body is not {"ready": true | false}');
  };
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(body));
  } catch {
    refuse();
  }
  return s.read(IndexRequestSchema, json, refuse);
}
