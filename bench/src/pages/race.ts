/** Something that can be run again and again, and does the same work each time. */
export interface Contestant {
  readonly name: string;
  /** A promise when it does not work at once. */
  readonly run: () => unknown;
}

export interface RaceOptions {
  /** How long to go on. Every contestant has at least `leastRounds` samples, however long that takes. */
  readonly budgetMs: number;
  readonly leastRounds: number;
  /** How long one sample is at least: many calls when they are short, since the clock ticks in 0.1 ms. */
  readonly sampleMs: number;
}

/** Milliseconds of one call, for each sample in order, by contestant. */
export type RaceTimes = Record<string, number[]>;

/** A call is fast only after V8 has compiled it for the second time, which it does in the background. */
const warmUpMs = 120;

/** Runs the contestants in turn, one sample each, so that whatever else the machine does meets all of them. */
export async function race(contestants: readonly Contestant[], options: RaceOptions): Promise<RaceTimes> {
  const calls = new Map<Contestant, number>();
  const times: RaceTimes = {};
  for (const contestant of contestants) {
    times[contestant.name] = [];
    const end = performance.now() + Math.min(warmUpMs, options.budgetMs);
    do await sample(contestant, 1);
    while (performance.now() < end);
    await pause();
    // A sample that was interrupted seems long enough with too few calls: the best of three tries counts.
    const tries = [];
    for (let i = 0; i < 3; i++) tries.push(await callsFor(contestant, options.sampleMs));
    calls.set(contestant, Math.max(...tries));
  }
  const end = performance.now() + options.budgetMs;
  for (let round = 0; round < options.leastRounds || performance.now() < end; round++) {
    for (const contestant of contestants) {
      let ms = await sample(contestant, calls.get(contestant)!);
      // Calls were counted while the machine was busy with something else: now they are over between two ticks.
      while (ms === 0) {
        calls.set(contestant, 2 * calls.get(contestant)!);
        ms = await sample(contestant, calls.get(contestant)!);
      }
      times[contestant.name]!.push(ms);
    }
    await pause();
  }
  return times;
}

/** A power of two of calls that together take at least `ms`. */
async function callsFor(contestant: Contestant, ms: number): Promise<number> {
  let count = 1;
  while ((await sample(contestant, count)) * count < ms) count *= 2;
  return count;
}

/** Milliseconds of one call, as the mean of `count` in a row. */
async function sample(contestant: Contestant, count: number): Promise<number> {
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    const result = contestant.run();
    if (result instanceof Promise) await result;
  }
  return (performance.now() - began) / count;
}

/** Lets the page do what it put off. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
