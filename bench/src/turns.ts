import type { BenchOptions } from './options.ts';

/** How long a case goes on, at least two rounds; and how long each of its contestants has a turn. */
const caseMs = 30_000;
export const turnMs = 700;

/** Rounds of a case until its time is over, or as many as were asked for. @throws what aborted the run */
export function* rounds({ runs = Number.POSITIVE_INFINITY, signal }: BenchOptions): Generator<number> {
  const until = performance.now() + caseMs;
  for (let round = 0; round < runs && (round < 2 || performance.now() < until); round++) {
    signal.throwIfAborted();
    yield round;
  }
}

/** Seconds of each run, one after the other for `turnMs`; the first of several, which finds other data in the caches, is left out. */
export async function inARow(work: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  const until = performance.now() + turnMs;
  while (times.length < 2 || performance.now() < until) {
    const start = performance.now();
    await work();
    times.push((performance.now() - start) / 1000);
  }
  return times.slice(1);
}
