import { tensor } from '@tierwise/core';
import { encodeBody } from '@tierwise/wire';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createEdge, type Edge } from '../src/index.ts';
import { openStream, request } from './client.ts';
import { dims, longRun, modelsFolder, picture } from './tiny-bundle.ts';

let edge: Edge;
let models: Awaited<ReturnType<typeof modelsFolder>>;
beforeAll(async () => {
  models = await modelsFolder();
  await models.add({ heavy: longRun });
});
afterAll(() => models.dispose());
beforeEach(async () => {
  edge = await createEdge({ models: models.path, port: 0, queueLimit: 2, maxBatch: 1 });
  await get('/metrics'); // The first fetch of a process is slow, and would come too late to see a run.
});
afterEach(() => edge.close());

const message = (id: string) =>
  request({ pixels: tensor('float32', dims.input, picture()) }, { modelName: 'tiny', id });

async function infer(): Promise<{ status: number; json: Record<string, unknown>; headers: Headers }> {
  const { bytes, jsonLength } = encodeBody(message(''));
  const response = await fetch(`${edge.url}/v2/models/tiny/infer`, {
    method: 'POST',
    body: bytes,
    headers: { 'inference-header-content-length': String(jsonLength) },
  });
  const json = (await response.json()) as Record<string, unknown>;
  return { status: response.status, json, headers: response.headers };
}

const get = (path: string) => fetch(`${edge.url}${path}`);

/** Resolves when `count` runs wait for a worker. */
async function untilQueued(count: number, { url } = edge): Promise<void> {
  for (;;) {
    const text = await (await fetch(`${url}/metrics`)).text();
    if (text.includes(`\ntierwise_queued_runs ${count}\n`)) return;
  }
}

describe('an edge under load', () => {
  it('answers health, files and metrics while a worker computes', async () => {
    const order: string[] = [];
    const client = await openStream(edge.url);
    for (const id of ['a', 'b', 'c']) client.send(message(id));
    await untilQueued(2);
    const replies = Promise.all([client.next(), client.next(), client.next()]);
    const answered = replies.then(() => order.push('inference'));
    for (const path of ['/v2/health/live', '/v2/models/tiny', '/models/tiny/manifest.json']) {
      expect((await get(path)).status).toBe(200);
      order.push(path);
    }
    await answered;
    expect(order.at(-1)).toBe('inference');
    await client.close();
  });

  it('refuses what exceeds the queue with 503 and Retry-After, and recovers', async () => {
    const client = await openStream(edge.url);
    for (const id of ['a', 'b', 'c']) client.send(message(id));
    await untilQueued(2);
    const refused = await infer();
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.json).toMatchObject({ code: 'OVERLOADED', error: expect.stringMatching(/wait/) });
    client.send(message('d'));
    expect(await client.next()).toMatchObject({ kind: 'failure', id: 'd', code: 'OVERLOADED' });
    for (const _ of 'abc') expect(await client.next()).toMatchObject({ kind: 'response' });
    expect((await infer()).status).toBe(200);
    await client.close();
  });

  it('takes the requests of a client that leaves out of the queue', async () => {
    const client = await openStream(edge.url);
    for (const id of ['a', 'b', 'c']) client.send(message(id));
    await untilQueued(2);
    client.socket.terminate();
    await untilQueued(0);
    expect((await infer()).status).toBe(200);
  });
});

describe('close', () => {
  it('lets requests under way finish, refuses new ones, closes WebSockets with 1001 and frees the port', async () => {
    const client = await openStream(edge.url);
    client.send(message('first'));
    client.send(message('second'));
    await untilQueued(1);
    const closed = edge.close();
    const ready = await get('/v2/health/ready');
    expect([ready.status, await ready.json()]).toEqual([503, expect.objectContaining({ ready: false })]);
    expect(await infer()).toMatchObject({ status: 503, json: { code: 'DRAINING' } });
    client.send(message('late'));
    expect(await client.next()).toMatchObject({ kind: 'failure', id: 'late', code: 'DRAINING' });
    expect(await client.next()).toMatchObject({ kind: 'response', id: 'first' });
    expect(await client.next()).toMatchObject({ kind: 'response', id: 'second' });
    expect(await client.closed).toBe(1001);
    await closed;
    await edge.close();
    await expect(get('/v2/health/live')).rejects.toThrow();
  });

  it('answers what does not finish before the deadline with DRAINING', async () => {
    const hasty = await createEdge({ models: models.path, port: 0, drainMs: 0, maxBatch: 1 });
    const client = await openStream(hasty.url);
    client.send(message('slow'));
    client.send(message('slower'));
    const replies = [client.next(), client.next()];
    await untilQueued(1, hasty);
    await hasty.close();
    for (const reply of replies) expect(await reply).toMatchObject({ kind: 'failure', code: 'DRAINING' });
  });
});
