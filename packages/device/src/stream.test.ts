import { expect, test } from 'vitest';
import { startSite, tinyManifest } from '../test/site.ts';
import type { Composite, Picture } from './api.ts';
import { load } from './load.ts';
import { stream } from './stream.ts';

/** A picture of class a that is found out when it is closed. */
function frame(name: number, closed: number[]): Picture {
  const data = Uint8Array.of(100, 0, 0, name);
  return { data, width: 2, height: 2, close: () => closed.push(name) } as Picture;
}

/** A composite that answers when told to. */
function slowly(): { composite: Composite; answer: (failure?: Error) => void; asked: () => number } {
  const waiting: { resolve(answer: never): void; reject(error: Error): void }[] = [];
  let asked = 0;
  const classify = (_: Picture, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      asked++;
      signal?.addEventListener('abort', () => reject(new Error('aborted')));
      waiting.push({ resolve, reject });
    });
  return {
    composite: { classify } as unknown as Composite,
    asked: () => asked,
    answer(failure) {
      const { resolve, reject } = waiting.shift()!;
      if (failure) reject(failure);
      else resolve({} as never);
    },
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('every picture of a source that waits is answered, and closed', async () => {
  const site = await startSite(tinyManifest());
  await using composite = await load(site.url);
  const closed: number[] = [];
  async function* source() {
    for (const name of [1, 2, 3]) {
      yield frame(name, closed);
      await turn();
      await turn();
    }
  }
  const labels: string[] = [];
  const counts = await stream(composite, source(), { onAnswer: ({ label }) => labels.push(label) });
  expect(counts.answered + counts.dropped).toBe(3);
  expect(labels).toEqual(Array(counts.answered).fill('a'));
  expect(closed.toSorted()).toEqual([1, 2, 3]);
  await site.stop();
});

test('while one is answered only the newest waits; the older ones are dropped', async () => {
  const { composite, answer, asked } = slowly();
  const closed: number[] = [];
  async function* source() {
    for (const name of [1, 2, 3, 4]) yield frame(name, closed);
    await turn();
    expect(closed).toEqual([2, 3]);
    answer();
    await turn();
    expect(asked()).toBe(2);
    answer();
  }
  let answers = 0;
  const counts = await stream(composite, source(), { onAnswer: () => answers++ });
  expect(counts).toEqual({ answered: 2, dropped: 2 });
  expect(answers).toBe(2);
  expect(closed).toEqual([2, 3, 1, 4]);
});

test('an abort ends it at once, whatever the source does', async () => {
  const { composite } = slowly();
  const stop = new AbortController();
  const closed: number[] = [];
  async function* source() {
    yield frame(1, closed);
    yield frame(2, closed);
    await turn();
    stop.abort();
    await new Promise(() => {});
  }
  const counts = await stream(composite, source(), { signal: stop.signal, onAnswer: () => {} });
  await turn();
  expect(counts.answered).toBe(0);
  expect(closed.toSorted()).toEqual([1, 2]);
});

test.each(['classify', 'onAnswer', 'the source'])(
  'a failure of %s is the failure of the stream',
  async (who) => {
    const { composite, answer } = slowly();
    const failure = new Error('broken');
    let ended = false;
    async function* source() {
      try {
        yield frame(1, []);
        await turn();
        if (who === 'the source') throw failure;
        answer(who === 'classify' ? failure : undefined);
        await turn();
        yield frame(2, []);
      } finally {
        ended = true;
      }
    }
    const onAnswer = () => {
      throw failure;
    };
    await expect(stream(composite, source(), { onAnswer })).rejects.toBe(failure);
    await turn();
    expect(ended).toBe(true);
  },
);
