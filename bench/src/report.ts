import { type Block, reportPage } from '@tierwise/report';
import type { BenchResult } from './result.ts';

/** The report of a benchmark: what it drew itself, or else a bar chart for every metric; then the conditions. */
export function htmlReport({ bench, conditions, rows, blocks }: BenchResult): string {
  const metrics = [...new Set(rows.flatMap((row) => Object.keys(row.metrics)))];
  const bars = metrics.map(
    (metric): Block => ({
      kind: 'bars',
      title: metric,
      bars: rows.flatMap((row) => {
        const value = row.metrics[metric];
        return value === undefined ? [] : [{ label: row.case, value }];
      }),
    }),
  );
  return reportPage(`tierwise bench ${bench}`, [
    ...(blocks ?? bars),
    { kind: 'facts', title: 'Conditions', facts: conditions },
  ]);
}
