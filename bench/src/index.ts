export { type BenchName, benchmarks } from './benchmarks.ts';
export type { BenchOptions } from './options.ts';
export { htmlReport } from './report.ts';
export type { BenchResult, BenchRow, Conditions } from './result.ts';
