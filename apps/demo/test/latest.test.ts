import { expect, test } from 'vitest';
import { Latest } from '../src/latest.ts';

/** A job that is done when told so, and what it saw. */
function job(short: boolean) {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  const seen: { signal?: AbortSignal } = {};
  return {
    seen,
    finish: async () => {
      resolve();
      await new Promise<void>((done) => setImmediate(done));
    },
    run: (signal: AbortSignal) => {
      seen.signal = signal;
      return promise;
    },
    short,
  };
}

test('one runs, and of those that wait only the newest does', async () => {
  const latest = new Latest();
  const [first, second, third] = [job(true), job(true), job(true)];
  latest.submit(first);
  latest.submit(second);
  latest.submit(third);
  expect(first.seen.signal?.aborted).toBe(false);
  expect(third.seen.signal).toBeUndefined();
  await first.finish();
  expect(second.seen.signal).toBeUndefined();
  expect(third.seen.signal?.aborted).toBe(false);
});

test('a newer job aborts one that may take long', async () => {
  const latest = new Latest();
  const [slow, newer] = [job(false), job(false)];
  latest.submit(slow);
  latest.submit(newer);
  expect(slow.seen.signal?.aborted).toBe(true);
  expect(newer.seen.signal).toBeUndefined();
  await slow.finish();
  expect(newer.seen.signal?.aborted).toBe(false);
});

test('cancelling aborts what runs and forgets what waits', async () => {
  const latest = new Latest();
  const [running, waiting, later] = [job(true), job(true), job(true)];
  latest.submit(running);
  latest.submit(waiting);
  latest.cancel();
  expect(running.seen.signal?.aborted).toBe(true);
  await running.finish();
  expect(waiting.seen.signal).toBeUndefined();
  latest.submit(later);
  expect(later.seen.signal?.aborted).toBe(false);
});
