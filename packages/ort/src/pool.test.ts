import type { Worker } from 'node:worker_threads';
import { type Tensor, tensor } from '@tierwise/core';
import type { RunTimings } from '@tierwise/plan';
import { afterEach, describe, expect, it } from 'vitest';
import { heavyGraph, smallGraph } from '../test/graphs.ts';
import { OrtPool, type PoolOptions } from './pool.ts';

const pools: OrtPool[] = [];
function pool(options: PoolOptions = {}): OrtPool {
  const made = new OrtPool(options);
  pools.push(made);
  return made;
}
afterEach(async () => {
  await Promise.all(pools.splice(0).map((made) => made.dispose()));
});

const feeds = (value = 2): Map<string, Tensor> =>
  new Map([['x', tensor('float32', [1, 3], Float32Array.of(-1, 0, value))]]);
const square = (n: number): Map<string, Tensor> =>
  new Map([['x', tensor('float32', [n, n], new Float32Array(n * n))]]);
const codes = (results: PromiseSettledResult<unknown>[]) =>
  results.map((result) => (result.status === 'fulfilled' ? 'ok' : (result.reason as { code: string }).code));

describe('OrtPool', () => {
  it('runs on every worker and leaves the feeds to the caller', async () => {
    const model = await pool({ workers: 2 }).open(smallGraph());
    const input = feeds();
    const results = await Promise.all(Array.from({ length: 20 }, () => model.run(input)));
    for (const outputs of results) expect(outputs.get('z')?.data).toEqual(Float32Array.of(1, 1, 5));
    expect(input.get('x')?.data.length).toBe(3);
  });

  it('answers in order and tells waiting and computing apart', async () => {
    const model = await pool().open(heavyGraph(128, 20));
    const order: number[] = [];
    const timings: RunTimings[] = [];
    await Promise.all(
      [0, 1, 2].map(async (i) => {
        await model.run(square(128), ['y'], { onTimings: (t) => timings.push(t) });
        order.push(i);
      }),
    );
    expect(order).toEqual([0, 1, 2]);
    for (const { queueMs, computeMs } of timings) {
      expect(queueMs).toBeGreaterThanOrEqual(0);
      expect(computeMs).toBeGreaterThan(0);
    }
    // The last one waited while both before it computed.
    expect(timings[2]!.queueMs).toBeGreaterThan(timings[0]!.computeMs);
  });

  it('leaves the event loop free while it computes', async () => {
    const model = await pool().open(heavyGraph(256, 40));
    const order: string[] = [];
    const run = model.run(square(256)).then(() => order.push('run'));
    await new Promise<void>((resolve) => setImmediate(resolve));
    order.push('event loop');
    await run;
    expect(order).toEqual(['event loop', 'run']);
  });

  it('refuses what exceeds the queue with OVERLOADED and goes on', async () => {
    const made = pool({ queueLimit: 2 });
    const model = await made.open(smallGraph());
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => model.run(feeds())));
    expect(codes(results)).toEqual(['ok', 'ok', 'ok', 'OVERLOADED', 'OVERLOADED']);
    expect([made.queued, made.running]).toEqual([0, 0]);
    expect((await model.run(feeds())).size).toBe(1);
  });

  it('takes an aborted run out of the queue, and releases the caller of one that computes', async () => {
    const made = pool();
    const model = await made.open(heavyGraph(256, 20));
    const abort = new AbortController();
    const signal = abort.signal;
    const computing = model.run(square(256), undefined, { signal });
    const waiting = model.run(square(256), undefined, { signal });
    const kept = model.run(square(256));
    expect([made.running, made.queued]).toEqual([1, 2]);
    abort.abort();
    expect(made.queued).toBe(1);
    expect(codes(await Promise.allSettled([computing, waiting, kept]))).toEqual([
      'CANCELLED',
      'CANCELLED',
      'ok',
    ]);
    await expect(model.run(square(256), undefined, { signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('reports a bad model and a bad tensor with their codes, and goes on', async () => {
    const made = pool({ workers: 2 });
    await expect(made.open(new Uint8Array(7))).rejects.toMatchObject({ code: 'MODEL_CORRUPT' });
    const model = await made.open(smallGraph());
    await expect(model.run(new Map())).rejects.toMatchObject({
      code: 'TENSOR_INVALID',
      details: { tensor: 'x' },
    });
    expect((await model.run(feeds(4))).get('z')?.data[2]).toBe(9);
  });

  it('replaces a worker that dies: its run fails once, those that wait are answered', async () => {
    const workers: Worker[] = [];
    const collect = (worker: Worker) => workers.push(worker);
    process.on('worker', collect);
    const made = pool();
    const model = await made.open(heavyGraph(256, 20));
    process.off('worker', collect);
    const results = Promise.allSettled([0, 1, 2].map(() => model.run(square(256))));
    // No message of the protocol: the worker throws on it after its run and ends while it has the next one.
    workers[0]!.postMessage(null);
    expect(codes(await results)).toEqual(['ok', 'INTERNAL', 'ok']);
    expect((await model.run(square(256))).get('y')?.dims).toEqual([256, 256]);
  });

  it('fails open runs with DISPOSED when a model or the pool goes away', async () => {
    const made = pool();
    const model = await made.open(heavyGraph(256, 20));
    const first = Promise.allSettled([model.run(square(256)), model.run(square(256))]);
    await model.dispose();
    await model.dispose();
    expect(codes(await first)).toEqual(['ok', 'DISPOSED']);
    await expect(model.run(square(256))).rejects.toMatchObject({ code: 'DISPOSED' });

    const again = await made.open(heavyGraph(256, 20));
    const second = Promise.allSettled([again.run(square(256)), again.run(square(256))]);
    await made.dispose();
    expect(codes(await second)).toEqual(['ok', 'DISPOSED']);
    await expect(made.open(smallGraph())).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});
