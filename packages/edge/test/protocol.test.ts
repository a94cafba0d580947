import { gzipSync } from 'node:zlib';
import { type Tensor, tensor } from '@tierwise/core';
import { decodeBody, encodeBody, type InferResponse, pack } from '@tierwise/wire';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEdge, type Edge } from '../src/index.ts';
import { packedTensor, request } from './client.ts';
import { dims, expectedScores, expectedStem, modelsFolder, picture, tinyBundle } from './tiny-bundle.ts';

let edge: Edge;
let models: Awaited<ReturnType<typeof modelsFolder>>;
beforeAll(async () => {
  models = await modelsFolder();
  await models.add();
  edge = await createEdge({ models: models.path, port: 0, bodyLimitBytes: 100_000 });
});
afterAll(async () => {
  await edge.close();
  await models.dispose();
});

const get = (path: string, init?: RequestInit) => fetch(`${edge.url}${path}`, init);
const getJson = async (path: string): Promise<unknown> => (await get(path)).json();

/** Posts without a Content-Type unless told otherwise, and gives status and JSON. */
async function post(
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
) {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  const response = await get(path, { method: 'POST', body: bytes, headers });
  return {
    status: response.status,
    headers: response.headers,
    json: (await response.json()) as Record<string, unknown>,
  };
}

const inferPath = '/v2/models/tiny/infer';
const input = (data: unknown, shape: readonly number[] = dims.input, datatype = 'FP32') => ({
  inputs: [{ name: 'pixels', shape, datatype, data }],
});

function expectClose(found: ArrayLike<number>, expected: readonly number[]): void {
  expect(found.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(found[i]).toBeCloseTo(value, 2);
}

describe('metadata', () => {
  it('tells server, health, models, configuration and index', async () => {
    // A version is the beginning of the network's digest.
    const version = (await tinyBundle()).manifest.main.artifact.digest.slice(0, 8);
    expect(await getJson('/v2')).toMatchObject({ name: 'tierwise-edge', extensions: expect.any(Array) });
    expect(await getJson('/v2/health/live')).toEqual({ live: true });
    expect(await getJson('/v2/health/ready')).toEqual({ ready: true, models: 2, refused: [] });
    expect(await getJson('/v2/models/tiny')).toEqual({
      name: 'tiny',
      versions: [version],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'pixels', datatype: 'FP32', shape: [-1, 1, 4, 4] }],
      outputs: [{ name: 'scores', datatype: 'FP32', shape: [-1, 3] }],
    });
    expect(await getJson('/v2/models/tiny.rest')).toMatchObject({
      inputs: [{ name: 'stem', datatype: 'FP32', shape: [-1, 2, 4, 4] }],
    });
    expect(await getJson(`/v2/models/tiny/versions/${version}`)).toMatchObject({ name: 'tiny' });
    expect(await getJson('/v2/models/tiny/ready')).toEqual({ name: 'tiny', ready: true });
    expect(await getJson(`/v2/models/tiny/versions/${version}/ready`)).toEqual({ name: 'tiny', ready: true });
    expect(await getJson('/v2/models/tiny/config')).toMatchObject({
      name: 'tiny',
      max_batch_size: 0,
      input: [{ name: 'pixels', data_type: 'TYPE_FP32', dims: [-1, 1, 4, 4] }],
    });
    const index = [
      { name: 'tiny', version, state: 'READY', reason: '' },
      { name: 'tiny.rest', version, state: 'READY', reason: '' },
    ];
    expect(await getJson('/v2/repository/index')).toEqual(index);
    expect((await post('/v2/repository/index', '')).json).toEqual(index);
    expect((await post('/v2/repository/index', '{"ready": true}')).json).toEqual(index);
    expect((await post('/v2/repository/index', '{"ready": 3}')).status).toBe(400);
  });

  it('counts what a model did', async () => {
    const before = (await getJson('/v2/models/tiny.rest/stats')) as {
      model_stats: { inference_count: number }[];
    };
    expect(before.model_stats[0]).toMatchObject({ name: 'tiny.rest', inference_count: 0 });
    const stem = expectedStem(picture());
    const body = {
      inputs: [
        { name: 'stem', shape: [2, ...dims.stem.slice(1)], datatype: 'FP32', data: [...stem, ...stem] },
      ],
    };
    expect((await post('/v2/models/tiny.rest/infer', JSON.stringify(body))).status).toBe(200);
    expect(await getJson('/v2/models/stats')).toMatchObject({
      model_stats: [{ name: 'tiny' }, { name: 'tiny.rest', inference_count: 2 }],
    });
    expect(await getJson('/v2/models/tiny.rest/stats')).toMatchObject({
      model_stats: [
        {
          inference_count: 2,
          last_inference: expect.any(Number),
          inference_stats: { success: { count: 1 }, fail: { count: 0 }, compute_infer: { count: 1 } },
        },
      ],
    });
  });

  it('begins the message about an unknown model as clients expect', async () => {
    for (const path of ['/v2/models/nope', '/v2/models/nope/ready', '/v2/models/tiny/versions/2']) {
      const response = await get(path);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({
        error: expect.stringMatching(/^Request for unknown model/),
        code: 'MODEL_UNKNOWN',
        remedy: expect.any(String),
      });
    }
    expect((await post('/v2/models/nope/infer', JSON.stringify(input([...picture()])))).json).toMatchObject({
      code: 'MODEL_UNKNOWN',
    });
  });
});

describe('inference over HTTP', () => {
  it('answers JSON with JSON, flat or nested, with or without a Content-Type', async () => {
    const pixels = picture();
    const rows = [0, 4, 8, 12].map((start) => [...pixels.subarray(start, start + 4)]);
    for (const data of [[...pixels], [[rows]]]) {
      for (const headers of [{}, { 'content-type': 'application/json' }, { 'content-type': 'text/plain' }]) {
        const { status, json } = await post(inferPath, JSON.stringify({ id: 'a1', ...input(data) }), headers);
        expect(status).toBe(200);
        expect(json).toMatchObject({
          model_name: 'tiny',
          id: 'a1',
          parameters: { plan: expect.stringMatching(/^edge-only:tiny:/), section: 'edge', exit: 'main' },
          outputs: [{ name: 'scores', datatype: 'FP32', shape: [1, 3] }],
        });
        expectClose((json['outputs'] as { data: number[] }[])[0]!.data, expectedScores(pixels));
      }
    }
  });

  it('takes and gives binary tensors, asked for in general or for one output', async () => {
    const pixels = picture(2);
    const message = request({ pixels: tensor('float32', dims.input, pixels) });
    const asked = [
      { ...message, parameters: { binary_data_output: true } },
      { ...message, outputs: [{ name: 'scores', binary: true }] },
    ];
    for (const each of asked) {
      const { bytes, jsonLength } = encodeBody(each);
      const response = await get(inferPath, {
        method: 'POST',
        body: bytes,
        headers: {
          'content-type': 'application/octet-stream',
          'inference-header-content-length': String(jsonLength),
        },
      });
      expect(response.status).toBe(200);
      const length = Number(response.headers.get('inference-header-content-length'));
      const reply = decodeBody(new Uint8Array(await response.arrayBuffer()), length) as InferResponse;
      expectClose(reply.outputs.get('scores')!.data as Float32Array, expectedScores(pixels));
    }
    const { bytes, jsonLength } = encodeBody({ ...message, outputs: [{ name: 'scores', binary: false }] });
    const { json } = await post(inferPath, bytes, { 'inference-header-content-length': String(jsonLength) });
    expect((json['outputs'] as { data: number[] }[])[0]!.data).toHaveLength(3);
  });

  it('runs every sample of a batch, in order', async () => {
    const pixels = picture(3, 5);
    const { json } = await post(inferPath, JSON.stringify(input([...pixels], [5, 1, 4, 4])));
    const output = (json['outputs'] as { shape: number[]; data: number[] }[])[0]!;
    expect(output.shape).toEqual([5, 3]);
    const each = [0, 1, 2, 3, 4].flatMap((i) => expectedScores(pixels.subarray(16 * i, 16 * i + 16)));
    expectClose(output.data, each);
    expect(json['parameters']).toMatchObject({ queueMs: expect.any(Number), computeMs: expect.any(Number) });
  });

  it('takes packed tensors for the input and for the stem', async () => {
    const pixels = picture(4);
    const policy = { kind: 'packed', bits: 8, lo: 0, hi: 255 } as const;
    const whole = packedTensor(pack(tensor('float32', dims.input, pixels), policy));
    const send = async (model: string, inputs: Record<string, Tensor>) => {
      const { bytes, jsonLength } = encodeBody(request(inputs));
      const { status, json } = await post(`/v2/models/${model}/infer`, bytes, {
        'inference-header-content-length': String(jsonLength),
      });
      expect([status, json['error']]).toEqual([200, undefined]);
      return (json['outputs'] as { data: number[] }[])[0]!.data;
    };
    // 8 bits over 0..255 hold whole-number pixels exactly.
    expectClose(await send('tiny', { pixels: whole }), expectedScores(pixels));
    const stem = tensor('float32', dims.stem, Float32Array.from(expectedStem(pixels)));
    expectClose(
      await send('tiny.rest', { stem: packedTensor(pack(stem, { kind: 'raw' })) }),
      expectedScores(pixels),
    );
    expectClose(await send('tiny.rest', { stem }), expectedScores(pixels));
  });

  it('reads compressed bodies, within the limit', async () => {
    const body = new Uint8Array(gzipSync(JSON.stringify(input([...picture()]))));
    expect((await post(inferPath, body, { 'content-encoding': 'gzip' })).status).toBe(200);
    const bomb = new Uint8Array(gzipSync(new Uint8Array(2_000_000)));
    expect((await post(inferPath, bomb, { 'content-encoding': 'gzip' })).json).toMatchObject({
      code: 'BODY_TOO_LARGE',
    });
    expect((await post(inferPath, body, { 'content-encoding': 'br' })).json).toMatchObject({
      code: 'REQUEST_INVALID',
    });
    expect((await post(inferPath, 'x', { 'content-encoding': 'gzip' })).json).toMatchObject({
      code: 'REQUEST_INVALID',
    });
  });

  const pixels = [...picture()];
  const stemName = { inputs: [{ name: 'stem', shape: dims.input, datatype: 'FP32', data: pixels }] };
  it.each<[string, unknown, string, RegExp]>([
    ['no JSON', 'hello', 'FRAME_CORRUPT', /JSON/],
    ['nothing', '', 'FRAME_CORRUPT', /JSON/],
    ['no inputs', '{}', 'FRAME_CORRUPT', /outputs|inputs/],
    ['a missing input', { inputs: [] }, 'TENSOR_INVALID', /"pixels" of model tiny is missing/],
    ['an unknown input', stemName, 'TENSOR_INVALID', /no input "stem"; it takes "pixels"/],
    ['a wrong shape', input(pixels, [1, 16]), 'TENSOR_INVALID', /\[1,16\].*FP32 \[n,1,4,4\]/],
    ['a wrong dtype', input(pixels, dims.input, 'INT32'), 'TENSOR_INVALID', /int32/],
    ['no samples', input([], [0, 1, 4, 4]), 'TENSOR_INVALID', /\[0,1,4,4\]/],
    ['too many samples', input(picture(1, 300), [300, 1, 4, 4]), 'FRAME_CORRUPT', /./],
    ['too few values', input(pixels.slice(1)), 'FRAME_CORRUPT', /pixels/],
    ['an unknown output', { ...input(pixels), outputs: [{ name: 'q' }] }, 'REQUEST_INVALID', /no output "q"/],
    [
      'another Plan',
      { ...input(pixels), parameters: { plan: 'lcdnn:tiny:0' } },
      'ARTIFACT_UNKNOWN',
      /lcdnn:tiny:0/,
    ],
    ['another section', { ...input(pixels), parameters: { section: 'rest' } }, 'PLAN_INVALID', /not rest/],
  ])('refuses %s', async (_, body, code, message) => {
    const { status, json } = await post(inferPath, typeof body === 'string' ? body : JSON.stringify(body));
    expect(json).toMatchObject({ code, error: expect.stringMatching(message), remedy: expect.any(String) });
    expect(status).toBe(code === 'ARTIFACT_UNKNOWN' ? 404 : 400);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses %s among the pixels',
    async (bad) => {
      const data = picture();
      data[5] = bad;
      const { bytes, jsonLength } = encodeBody(request({ pixels: tensor('float32', dims.input, data) }));
      const { status, json } = await post(inferPath, bytes, {
        'inference-header-content-length': String(jsonLength),
      });
      expect(status).toBe(400);
      expect(json).toMatchObject({ code: 'TENSOR_INVALID', error: expect.stringMatching(/element 5/) });
    },
  );

  it('refuses a large batch, a packed one before it is unpacked', async () => {
    const many = tensor('float32', [300, 1, 4, 4], new Float32Array(4800));
    const packed = packedTensor(pack(many, { kind: 'packed', bits: 1, lo: 0, hi: 1 }));
    for (const pixels of [many, packed]) {
      const { bytes, jsonLength } = encodeBody(request({ pixels }));
      const { json } = await post(inferPath, bytes, {
        'inference-header-content-length': String(jsonLength),
      });
      expect(json).toMatchObject({ code: 'REQUEST_INVALID', error: expect.stringMatching(/300 samples/) });
    }
  });

  it.each(['-1', '1e9', 'abc', '99999', '3.5', ''])('refuses %j as length of the JSON', async (length) => {
    const { bytes } = encodeBody(request({ pixels: tensor('float32', dims.input, picture()) }));
    const { status } = await post(inferPath, bytes, { 'inference-header-content-length': length });
    expect(status).toBe(400);
  });

  it('refuses a damaged packed tensor', async () => {
    const bytes = pack(tensor('float32', dims.input, picture()), { kind: 'raw' });
    bytes[40]! ^= 1;
    const body = encodeBody(request({ pixels: packedTensor(bytes) }));
    const { json } = await post(inferPath, body.bytes, {
      'inference-header-content-length': String(body.jsonLength),
    });
    expect(json).toMatchObject({ code: 'PACKED_CORRUPT' });
  });

  it('refuses an oversized body with 413 and goes on', async () => {
    const { status, json } = await post(inferPath, 'x'.repeat(200_000));
    expect(status).toBe(413);
    expect(json).toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect((await post(inferPath, JSON.stringify(input(pixels)))).status).toBe(200);
  });

  it('answers fifty requests at once, each with its own scores', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const own = picture(100 + i);
        const { json } = await post(inferPath, JSON.stringify({ id: `r${i}`, ...input([...own]) }));
        expectClose((json['outputs'] as { data: number[] }[])[0]!.data, expectedScores(own));
        return json['id'];
      }),
    );
    expect(answers).toEqual(Array.from({ length: 50 }, (_, i) => `r${i}`));
  });

  it('answers an unknown address with 404 and a code', async () => {
    for (const [method, path] of [
      ['GET', '/nope'],
      ['DELETE', '/v2/models/tiny'],
      ['POST', '/'],
    ] as const) {
      const response = await get(path, { method });
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ code: 'ADDRESS_UNKNOWN' });
    }
  });

  it('counts all of it in metrics that Prometheus reads', async () => {
    const response = await get('/metrics');
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await response.text();
    const value = (line: RegExp) => Number(line.exec(text)?.[1]);
    expect(
      value(/^tierwise_requests_total\{model="tiny",transport="http",outcome="ok"\} (\d+)$/m),
    ).toBeGreaterThan(50);
    expect(text).toMatch(/tierwise_requests_total\{model="tiny",transport="http",outcome="TENSOR_INVALID"\}/);
    expect(value(/^tierwise_request_seconds_count\{model="tiny",transport="http"\} (\d+)$/m)).toBeGreaterThan(
      50,
    );
    expect(value(/^tierwise_uplink_bytes_total\{model="tiny",transport="http"\} (\d+)$/m)).toBeGreaterThan(
      1000,
    );
    expect(value(/^tierwise_models\{state="current"\} (\d+)$/m)).toBe(1);
    expect(text).toMatch(/^process_cpu_seconds_total /m);
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]);
    for (const name of names) expect(text).toContain(`# HELP ${name} `);
  });
});
