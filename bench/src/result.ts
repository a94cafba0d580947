import type { Block } from '@tierwise/report';

/** What every benchmark gives; `--json` prints it without `blocks`. */
export interface BenchResult {
  readonly bench: string;
  readonly conditions: Conditions;
  readonly rows: readonly BenchRow[];
  /** What the HTML report shows instead of a bar chart for every metric. */
  readonly blocks?: readonly Block[];
}

/** Under what the figures were taken: machine, browser, rivals, runs, thread, throttle. Values are for people. */
export type Conditions = Readonly<Record<string, string | number>>;

export interface BenchRow {
  readonly case: string;
  /** Units are in the names; a name without one is a ratio. */
  readonly metrics: Readonly<Record<string, number>>;
  /** What is not a number: states, commands, whether a check holds. */
  readonly facts?: Readonly<Record<string, string | boolean>>;
}
