import { expect, test } from 'vitest';
import { htmlReport } from './report.ts';

const result = {
  bench: 'kernels',
  conditions: { cpu: 'A <fast> & "new" one', runs: 5 },
  rows: [
    { case: 'small', metrics: { ms: 0.5, vsOrtWeb: 20 } },
    { case: 'large', metrics: { ms: 2 } },
  ],
};

test('a report has a chart for every metric, and all conditions', () => {
  const html = htmlReport(result);
  expect(html.match(/<svg /g)).toHaveLength(2);
  expect(html).toContain('aria-label="ms: small 0.5, large 2"');
  expect(html).toContain('aria-label="vsOrtWeb: small 20"');
  expect(html).toContain('A &lt;fast&gt; &amp; &quot;new&quot; one');
  expect(htmlReport({ ...result, rows: [] })).toContain('Conditions');
});

test('a benchmark that brings its own blocks is shown with them', () => {
  const html = htmlReport({ ...result, blocks: [{ kind: 'text', text: 'its own words' }] });
  expect(html).toContain('its own words');
  expect(html).not.toContain('<svg');
});
