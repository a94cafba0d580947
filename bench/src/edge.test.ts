/** The benchmark of the edge with real processes: that all answer, and the same; not how fast they are. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { benchmarks } from './benchmarks.ts';
import { type Digits, openDigits } from './digits.ts';
import { type Bound, openBound } from './edge-bound.ts';
import { startProgram } from './processes.ts';
import { quantile } from './statistics.ts';

const { signal } = new AbortController();
const options = { chromePath: undefined, signal, onProgress: () => {}, runs: 1 };
const finite = expect.toSatisfy((value) => Number.isFinite(value) && value > 0, 'a positive number');

test('every contestant gives the scores that ONNX Runtime gives alone, and has its figures', async () => {
  const cases = ['frames-64', 'unbatched-64', 'pixels-1', 'http-1', 'json-64', 'naive-64'];
  const result = await benchmarks.edge.run({ ...options, cases });
  expect(result.rows.map((row) => row.case)).toEqual(cases);
  for (const { metrics } of result.rows) {
    for (const name of ['answersPerSecond', 'p50Ms', 'p95Ms', 'p99Ms', 'ofBound'])
      expect(metrics).toMatchObject({ [name]: finite });
    expect(metrics['p50Ms']).toBeLessThanOrEqual(metrics['p99Ms']!);
  }
  const ratios = result.rows.map(({ metrics }) => ['vsNaive' in metrics, 'vsUnbatched' in metrics]);
  expect(ratios).toEqual([
    [true, true],
    [true, false],
    [false, false],
    [false, false],
    [true, false],
    [false, false],
  ]);
  expect(Object.keys(result.conditions)).toEqual(
    expect.arrayContaining(['date', 'cpu', 'cores', 'network', 'edge', 'client', 'runs', 'naive', 'bound']),
  );
  expect(JSON.parse(JSON.stringify(result))).toEqual(result);
});

let digits: Digits;
let bound: Bound;
beforeAll(async () => {
  digits = await openDigits(2, signal);
  bound = await openBound(digits);
});
afterAll(() => bound[Symbol.asyncDispose]());

test('other scores than those of ONNX Runtime alone are refused', () => {
  const scores = bound.scores('whole');
  expect(() => bound.check('whole', scores, 'somebody')).not.toThrow();
  const other = scores.map((row) => row.map((x, i) => (i === 3 ? x + 1 : x)));
  expect(() => bound.check('whole', other, 'somebody')).toThrow(/somebody answers .* for digit 0/);
  expect(() => bound.check('whole', scores.slice(0, 1), 'somebody')).toThrow(/undefined for digit 1/);
});

test('the network says the same of a stem in its 3 bits as of the picture', () => {
  const best = (part: 'rest' | 'whole') => bound.scores(part).map((row) => row.indexOf(Math.max(...row)));
  expect(best('rest')).toEqual(best('whole'));
});

test('a program that ends is noticed by whoever waits for it', async () => {
  await using program = startProgram('/nowhere/at-all.js', [], signal);
  await expect(program.said()).rejects.toThrow(/at-all.js ended with 1/);
});

test('quantiles', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect([0, 0.5, 0.95, 0.99, 1].map((share) => quantile(values, share))).toEqual([1, 50, 95, 99, 100]);
  expect(quantile([], 0.5)).toBeNaN();
});
