import type { BenchResult } from './result.ts';

/** Length of the longest bar, in the units of the drawing; labels lie outside of it. */
const barWidth = 300;
const labelWidth = 120;
const rowHeight = 26;

/**
 * One page with a bar chart for every metric and the conditions under which they were taken. It needs nothing else:
 * no script, no font, no other file; readable on a phone, in the dark and on paper.
 */
export function htmlReport({ bench, conditions, rows }: BenchResult): string {
  const metrics = [...new Set(rows.flatMap(({ metrics }) => Object.keys(metrics)))];
  const charts = metrics.map((metric) =>
    chart(
      metric,
      rows.flatMap((row) => {
        const value = row.metrics[metric];
        return value === undefined ? [] : [{ label: row.case, value }];
      }),
    ),
  );
  const facts = Object.entries(conditions).map(
    ([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(String(value))}</dd>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tierwise bench ${escapeHtml(bench)}</title>
<style>${style}</style>
</head>
<body>
<h1>tierwise bench ${escapeHtml(bench)}</h1>
<main>
${charts.join('\n')}
</main>
<h2>Conditions</h2>
<dl>${facts.join('')}</dl>
</body>
</html>
`;
}

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --bar: #2563c9; --quiet: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --bar: #6ea8fe; --quiet: #9aa4af; } }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem 2rem; }
figure { margin: 0; }
figcaption { font-weight: 600; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; }
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
rect { fill: var(--bar); }
dl { display: grid; grid-template-columns: minmax(6rem, auto) 1fr; gap: .25rem 1rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
`;

/** Horizontal bars from zero. */
function chart(title: string, bars: readonly { label: string; value: number }[]): string {
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const valueWidth = 60;
  const width = labelWidth + barWidth + valueWidth;
  const drawn = bars.map(({ label, value }, i) => {
    const middle = i * rowHeight + rowHeight / 2;
    const length = Math.max(1, (Math.max(0, value) / most) * barWidth);
    return (
      `<text x="${labelWidth - 8}" y="${middle}" text-anchor="end" dominant-baseline="central">${escapeHtml(label)}</text>` +
      `<rect x="${labelWidth}" y="${middle - 8}" width="${length.toFixed(1)}" height="16" rx="2"/>` +
      `<text x="${(labelWidth + length + 6).toFixed(1)}" y="${middle}" dominant-baseline="central">${numberText(value)}</text>`
    );
  });
  const spoken = bars.map(({ label, value }) => `${label} ${numberText(value)}`).join(', ');
  return `<figure><figcaption>${escapeHtml(title)}</figcaption><svg viewBox="0 0 ${width} ${bars.length * rowHeight}" role="img" aria-label="${escapeHtml(`${title}: ${spoken}`)}">${drawn.join('')}</svg></figure>`;
}

/** Three significant digits, and no more zeros than whole numbers need. */
export function numberText(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: value < 1000 ? 3 : 4 });
}

function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
  };
  return text.replace(/[&<>"]/g, (character) => entities[character]!);
}
