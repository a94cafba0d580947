import { tensor } from '@tierwise/core';
import { decodeFrame, encodeFrame, type InferParameters } from '@tierwise/wire';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createEdge, type Edge, type EdgeOptions } from '../src/index.ts';
import { openStream, type Reply, request } from './client.ts';
import { dims, expectedScores, expectedStem, longRun, modelsFolder, picture } from './tiny-bundle.ts';

let edge: Edge;
let models: Awaited<ReturnType<typeof modelsFolder>>;
beforeAll(async () => {
  models = await modelsFolder();
  await models.add();
  await models.add({ name: 'slow', heavy: longRun });
});
afterAll(() => models.dispose());
beforeEach(async () => {
  edge = await createEdge({ models: models.path, port: 0, maxBatch: 1, audit: true });
});
afterEach(() => edge.close());

const message = (id: string, parameters: InferParameters = {}, seed = 1, modelName = 'tiny.rest') => {
  const stem = tensor('float32', dims.stem, Float32Array.from(expectedStem(picture(seed))));
  return request({ stem }, { modelName, id, parameters });
};
type Message = ReturnType<typeof message>;

async function post(sent: Message | Uint8Array<ArrayBuffer>, signal?: AbortSignal) {
  const body = sent instanceof Uint8Array ? sent : encodeFrame(sent);
  const init = { method: 'POST', body, ...(signal === undefined ? {} : { signal }) };
  const response = await fetch(`${edge.url}/v2/stream`, init);
  const reply = decodeFrame(new Uint8Array(await response.arrayBuffer())) as Reply;
  return { status: response.status, headers: response.headers, reply };
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${edge.url}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}
const untilMetric = async (name: string, value: number): Promise<void> => {
  while ((await metric(name)) !== value);
};

describe('one frame by POST', () => {
  it('is answered by one, as over the WebSocket', async () => {
    const { status, headers, reply } = await post(message('p'));
    expect([status, headers.get('content-type')]).toEqual([200, 'application/octet-stream']);
    if (reply.kind !== 'response') throw new Error(reply.error);
    expect(reply).toMatchObject({ id: 'p', modelName: 'tiny.rest', parameters: { exit: 'main' } });
    expect(Number(reply.outputs.get('scores')!.data[0])).toBeCloseTo(expectedScores(picture())[0]!, 2);
  });

  it('that cannot be answered gets a failure under its id, with the status', async () => {
    const unknown = await post({ ...message('u'), modelName: 'nope' });
    expect(unknown).toMatchObject({
      status: 404,
      reply: { kind: 'failure', id: 'u', code: 'MODEL_UNKNOWN' },
    });
    expect(await post(new Uint8Array(3))).toMatchObject({ status: 400, reply: { code: 'FRAME_CORRUPT' } });
  });

  it('finds a full queue as 503 with Retry-After', async () => {
    await edge.close();
    edge = await createEdge({ models: models.path, port: 0, maxBatch: 1, queueLimit: 1 });
    const waiting = [post(message('a', {}, 1, 'slow.rest')), post(message('b', {}, 2, 'slow.rest'))];
    await untilMetric('tierwise_queued_runs', 1);
    const { status, headers, reply } = await post(message('c'));
    expect([status, headers.get('retry-after')]).toEqual([503, '1']);
    expect(reply).toMatchObject({ kind: 'failure', id: 'c', code: 'OVERLOADED' });
    for (const { status: other } of await Promise.all(waiting)) expect(other).toBe(200);
  });
});

describe('a request with a key', () => {
  const ok = 'tierwise_requests_total{model="slow.rest",transport="http",outcome="ok"}';

  it('is computed once, over whichever transport it comes again', async () => {
    const client = await openStream(edge.url);
    client.send(message('first', { key: 'k-1' }));
    const first = await client.next();
    const again = await post(message('again', { key: 'k-1' }));
    client.send(message('third', { key: 'k-1' }));
    const third = await client.next();
    if (first.kind !== 'response' || again.reply.kind !== 'response' || third.kind !== 'response') {
      throw new Error('a failure');
    }
    expect([first.id, again.reply.id, third.id]).toEqual(['first', 'again', 'third']);
    expect(again.reply.outputs).toEqual(first.outputs);
    expect(third.parameters).toEqual(first.parameters);
    expect(await metric('tierwise_run_samples_sum')).toBe(1);
    const repeated = (transport: string) =>
      metric(`tierwise_requests_total{model="tiny.rest",transport="${transport}",outcome="repeated"}`);
    expect([await repeated('http'), await repeated('websocket')]).toEqual([1, 1]);
    await client.close();
  });

  it('joins the one under way, which goes on while somebody waits', async () => {
    const left = new AbortController();
    const first = post(message('a', { key: 'k-2' }, 1, 'slow.rest'), left.signal);
    await untilMetric('tierwise_busy_workers', 1);
    const client = await openStream(edge.url);
    client.send(message('b', { key: 'k-2' }, 1, 'slow.rest'));
    // Frames are taken in order: when this one is refused, the one before it has joined.
    client.sendBytes('no frame');
    expect(await client.next()).toMatchObject({ kind: 'failure', code: 'FRAME_CORRUPT' });
    left.abort();
    await expect(first).rejects.toThrow();
    expect(await client.next()).toMatchObject({ kind: 'response', id: 'b' });
    expect(await metric('tierwise_run_samples_sum')).toBe(1);
    expect(await metric(ok)).toBe(0);
    await client.close();
  });

  it('is another one when its content is', async () => {
    const one = await post(message('1', { key: 'k-3' }, 1));
    const two = await post(message('2', { key: 'k-3' }, 2));
    if (one.reply.kind !== 'response' || two.reply.kind !== 'response') throw new Error('a failure');
    expect(two.reply.outputs).not.toEqual(one.reply.outputs);
    expect(await metric('tierwise_run_samples_sum')).toBe(2);
  });

  it('may be tried again after it failed', async () => {
    await edge.close();
    const options: EdgeOptions = { models: models.path, port: 0, maxBatch: 1, queueLimit: 1 };
    edge = await createEdge(options);
    const waiting = [post(message('a', {}, 1, 'slow.rest')), post(message('b', {}, 2, 'slow.rest'))];
    await untilMetric('tierwise_queued_runs', 1);
    expect((await post(message('c', { key: 'k-4' }))).status).toBe(503);
    await Promise.all(waiting);
    expect((await post(message('c', { key: 'k-4' }))).status).toBe(200);
  });
});

describe('a deadline', () => {
  it('that passes in the queue takes the request out of it, uncomputed', async () => {
    const client = await openStream(edge.url);
    client.send(message('computing', {}, 1, 'slow.rest'));
    await untilMetric('tierwise_busy_workers', 1);
    client.send(message('late', { deadlineMs: 1, key: 'late' }, 2, 'slow.rest'));
    expect(await client.next()).toMatchObject({ kind: 'failure', id: 'late', code: 'TIMEOUT' });
    expect(await client.next()).toMatchObject({ kind: 'response', id: 'computing' });
    await untilMetric('tierwise_busy_workers', 0);
    expect(await metric('tierwise_run_samples_sum')).toBe(1);
    await client.close();
  });

  it('is 504 over HTTP, and does not hurry others', async () => {
    const late = post(message('late', { deadlineMs: 1 }, 1, 'slow.rest'));
    expect(await late).toMatchObject({ status: 504, reply: { code: 'TIMEOUT' } });
    expect((await post(message('ok', { deadlineMs: 60_000 }))).status).toBe(200);
  });
});

describe('what devices tell', () => {
  it.each<[InferParameters, RegExp]>([
    [{ key: '' }, /parameter key/],
    [{ key: 7 }, /parameter key/],
    [{ deadlineMs: 0 }, /parameter deadlineMs/],
    [{ deviceExits: -1 }, /parameter deviceExits/],
    [{ entropy: 1.5 }, /parameter entropy/],
    [{ branchClass: 3, entropy: 0 }, /parameter branchClass: model tiny\.rest has 3 classes/],
    [{ auditShare: 0 }, /parameter auditShare/],
    [{ auditShare: 0.1 }, /needs the parameters entropy and branchClass/],
  ])('is checked: %j', async (parameters, error) => {
    const { status, reply } = await post(message('x', parameters));
    expect([status, reply]).toMatchObject([
      400,
      { code: 'REQUEST_INVALID', error: expect.stringMatching(error) },
    ]);
  });

  it('is counted: exits by tier, entropies, predictions', async () => {
    const said = expectedScores(picture());
    const main = said.indexOf(Math.max(...said));
    await post(message('1', { deviceExits: 40, entropy: 0.3, branchClass: main, predictedMs: 1e6 }));
    await post(message('2', { entropy: 0.04, branchClass: (main + 1) % 3, auditShare: 0.1 }));
    const exits = (tier: string) => metric(`tierwise_exits_total{model="tiny.rest",tier="${tier}"}`);
    expect([await exits('device'), await exits('edge')]).toEqual([40, 1]);
    const entropies = (le: string, audit: boolean, agrees: boolean) =>
      metric(
        `tierwise_branch_entropy_ratio_bucket{le="${le}",model="tiny.rest",audit="${audit}",agrees="${agrees}"}`,
      );
    expect([await entropies('0.2', false, true), await entropies('0.3', false, true)]).toEqual([0, 1]);
    expect([await entropies('0.02', true, false), await entropies('0.05', true, false)]).toEqual([0, 1]);
    expect(await metric('tierwise_prediction_ratio_bucket{le="0.1",model="tiny.rest"}')).toBe(1);
  });

  it('in audits estimates what every threshold would do', async () => {
    const said = expectedScores(picture());
    const main = said.indexOf(Math.max(...said));
    const wrong = (main + 1) % 3;
    // One in ten of the confident ones comes, so each stands for ten: one of them is wrong.
    await post(message('1', { entropy: 0.012, branchClass: main, auditShare: 0.1 }));
    await post(message('2', { entropy: 0.055, branchClass: wrong, auditShare: 0.1 }));
    for (const id of 'abcde') await post(message(id, { entropy: 0.5, branchClass: wrong }));
    const response = await fetch(`${edge.url}/v2/models/tiny.rest/audit`);
    const report = (await response.json()) as {
      thresholds: { threshold: number; exitRate: number; agreement: number }[];
    };
    expect(report).toMatchObject({ samples: 7, audited: 2, classes: [{ share: 1, branchAgrees: 10 / 25 }] });
    const at = (threshold: number) => report.thresholds.find((row) => row.threshold === threshold);
    expect(at(0.01)).toMatchObject({ exitRate: 0, agreement: 1 });
    expect(at(0.05)).toMatchObject({ exitRate: 10 / 25, agreement: 1 });
    expect(at(0.1)).toMatchObject({ exitRate: 20 / 25, agreement: 1 - 10 / 25 });
    expect(at(1)).toMatchObject({ exitRate: 1, agreement: 1 - 15 / 25 });
  });

  it('is no audit where none is wanted', async () => {
    await edge.close();
    edge = await createEdge({ models: models.path, port: 0, maxBatch: 1 });
    const { status, reply } = await post(message('1', { entropy: 0.1, branchClass: 0, auditShare: 0.1 }));
    expect([status, reply]).toMatchObject([400, { error: expect.stringMatching(/takes no audits/) }]);
    await post(message('2', { entropy: 0.6, branchClass: 0 }));
    const response = await fetch(`${edge.url}/v2/models/tiny.rest/audit`);
    expect(await response.json()).toMatchObject({ samples: 0, thresholds: [] });
  });
});
