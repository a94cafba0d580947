import { expect, test } from 'vitest';
import { htmlReport, numberText } from './report.ts';

const result = {
  bench: 'kernels',
  conditions: { cpu: 'A <fast> & "new" one', runs: 5 },
  rows: [
    { case: 'small', metrics: { ms: 0.5, vsOrtWeb: 20 } },
    { case: 'large', metrics: { ms: 2 } },
  ],
};

test('a report has a chart for every metric, all conditions, and needs nothing from outside', () => {
  const html = htmlReport(result);
  expect(html.match(/<svg /g)).toHaveLength(2);
  expect(html).toContain('aria-label="ms: small 0.5, large 2"');
  expect(html).toContain('aria-label="vsOrtWeb: small 20"');
  expect(html).toContain('A &lt;fast&gt; &amp; &quot;new&quot; one');
  expect(html).not.toMatch(/<script|<link|https?:|src=|@import|url\(/);
  expect(html).toContain('prefers-color-scheme: dark');
});

test('bars are as long as their values', () => {
  const [small, large] = [...htmlReport(result).matchAll(/<rect [^>]*width="([\d.]+)"/g)].map((match) =>
    Number(match[1]),
  );
  expect(small! / large!).toBeCloseTo(0.25, 2);
});

test('a chart of zeros and a result without rows are drawn, too', () => {
  expect(htmlReport({ ...result, rows: [{ case: 'none', metrics: { ms: 0 } }] })).not.toContain('NaN');
  expect(htmlReport({ ...result, rows: [] })).toContain('Conditions');
});

test.each([
  [0.08051, '0.0805'],
  [12.349, '12.3'],
  [4_102_000, '4,102,000'],
])('%d is written %s', (value, text) => {
  expect(numberText(value)).toBe(text);
});
