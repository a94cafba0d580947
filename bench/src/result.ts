/** What every benchmark gives, and the only thing that `--json` prints. */
export interface BenchResult {
  readonly bench: string;
  readonly conditions: Conditions;
  readonly rows: readonly BenchRow[];
}

/** Under what the figures were taken: machine, browser, rivals, runs, thread, throttle. Values are for people. */
export type Conditions = Readonly<Record<string, string | number>>;

export interface BenchRow {
  readonly case: string;
  /** Units are in the names; a name without one is a ratio. */
  readonly metrics: Readonly<Record<string, number>>;
}
