export type { BenchResult, BenchRow, Conditions } from './result.ts';
