import { strategies } from '@tierwise/plan';
import { expect, test } from 'vitest';
import { benchmarks } from './benchmarks.ts';

const options = {
  chromePath: undefined,
  signal: new AbortController().signal,
  onProgress: () => {},
  runs: 1,
  cases: ['lenet', 'resnet18-224'],
};

test('there are figures for every strategy, of networks of both sizes', async () => {
  const result = await benchmarks.plan.run(options);
  expect(result.rows.map((row) => row.case)).toEqual(options.cases);
  const [small, large] = result.rows.map(({ metrics }) => metrics);
  for (const metrics of [small!, large!]) {
    const names = [...Object.keys(strategies), 'places'].flatMap((name) => [`${name}Us`, `${name}OfReading`]);
    expect(Object.keys(metrics).toSorted()).toEqual(['nodes', 'places', ...names].toSorted());
    for (const value of Object.values(metrics)) expect(value).toBeGreaterThan(0);
  }
  expect(large!['nodes']).toBeGreaterThan(small!['nodes']!);
  expect(JSON.parse(JSON.stringify(result))).toEqual(result);
});
