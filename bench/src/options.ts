import type { RaceOptions } from './pages/race.ts';

/** What every benchmark takes. */
export interface BenchOptions {
  /** Chrome or Chromium, where there is one. */
  readonly chromePath: string | undefined;
  readonly signal: AbortSignal;
  /** A line on what is under way. */
  readonly onProgress: (line: string) => void;
  /** Only these cases; all by default. */
  readonly cases?: readonly string[] | undefined;
  /** Just so many samples of each contestant, instead of as many as fit the time. */
  readonly runs?: number | undefined;
}

/** How to race a case that usually takes `budgetMs`. */
export function raceOptions({ runs }: BenchOptions, budgetMs: number): RaceOptions {
  return runs === undefined
    ? { budgetMs, leastRounds: 5, sampleMs: 8 }
    : { budgetMs: 0, leastRounds: runs, sampleMs: 1 };
}
