import type { Block, PictureTable, TableBlock } from './blocks.ts';
import { barFigure, lineFigure } from './charts.ts';
import { escapeHtml, numberText } from './text.ts';

/**
 * One page of tables and charts. It needs nothing else: no script, no font, no other file; readable on a phone, in the
 * dark and on paper.
 */
export function reportPage(title: string, blocks: readonly Block[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${grouped(blocks).join('\n')}
</body>
</html>
`;
}

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --quiet: #57606a; --line: #d0d7de;
  --c0: #2563c9; --c1: #c2410c; --c2: #15803d; --c3: #9333ea; --c4: #b45309; --c5: #0e7490; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --quiet: #9aa4af; --line: #30363d;
  --c0: #6ea8fe; --c1: #fb923c; --c2: #4ade80; --c3: #c084fc; --c4: #facc15; --c5: #22d3ee; } }
body { margin: 0 auto; max-width: 82rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem 2rem; margin: 1rem 0; }
figure { margin: 0; max-width: 36rem; }
figcaption, caption { font-weight: 600; overflow-wrap: anywhere; text-align: left; }
svg { width: 100%; height: auto; display: block; }
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.label { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.grid { stroke: var(--line); fill: none; }
.mark { stroke: var(--quiet); stroke-dasharray: 4 3; fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
${[0, 1, 2, 3, 4, 5].map((i) => `.c${i} { fill: var(--c${i}); background: var(--c${i}); } .l${i} { stroke: var(--c${i}); }`).join('\n')}
.l1 { stroke-dasharray: 7 3; } .l2 { stroke-dasharray: 2 3; } .l3 { stroke-dasharray: 9 3 2 3; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1rem; margin: 0; font-size: .875rem; }
.legend i { display: inline-block; width: .75rem; height: .75rem; border-radius: 2px; margin-right: .35rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td { white-space: nowrap; }
td.number, th.number { text-align: right; }
td.long { white-space: normal; min-width: 18rem; overflow-wrap: anywhere; }
th[scope=row] { min-width: 6rem; position: sticky; left: 0; background: var(--paper); }
th.sub { font-weight: 400; color: var(--quiet); padding-left: 1rem; }
@media (min-width: 48rem) { th[scope=row] { white-space: nowrap; } }
.pictures td { padding: 2px 0; border: 0; } .pictures th { border: 0; vertical-align: middle; }
.pictures img { display: block; height: 3rem; image-rendering: pixelated; }
dl { display: grid; grid-template-columns: minmax(6rem, auto) 1fr; gap: .25rem 1rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
`;

/** Charts that follow each other stand side by side where there is room. */
function grouped(blocks: readonly Block[]): string[] {
  const parts: string[] = [];
  let charts: string[] = [];
  const flush = () => {
    if (charts.length > 0) parts.push(`<main>\n${charts.join('\n')}\n</main>`);
    charts = [];
  };
  for (const block of blocks) {
    if (block.kind === 'bars') charts.push(barFigure(block));
    else if (block.kind === 'lines') charts.push(lineFigure(block));
    else {
      flush();
      parts.push(plain(block));
    }
  }
  flush();
  return parts;
}

function plain(block: Exclude<Block, { kind: 'bars' | 'lines' }>): string {
  if (block.kind === 'text') return `<p>${escapeHtml(block.text)}</p>`;
  if (block.kind === 'table') return table(block);
  if (block.kind === 'pictures') return pictures(block);
  const facts = Object.entries(block.facts).map(
    ([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(String(value))}</dd>`,
  );
  return `<h2>${escapeHtml(block.title)}</h2>\n<dl>${facts.join('')}</dl>`;
}

function table({ title, head, rows }: TableBlock): string {
  const numeric = head.map((_, i) => rows.some((row) => typeof row[i] === 'number'));
  const kind = (i: number, text = '') =>
    numeric[i] ? ' class="number"' : text.length > 48 ? ' class="long"' : '';
  const cell = (value: string | number, i: number) => {
    const text = escapeHtml(typeof value === 'number' ? numberText(value) : value);
    // A name that is indented belongs to the row above.
    const sub = text.startsWith('  ') ? ' class="sub"' : '';
    return i === 0 ? `<th scope="row"${sub}>${text.trim()}</th>` : `<td${kind(i, text)}>${text}</td>`;
  };
  const body = rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`);
  return `<div class="wide"><table><caption>${escapeHtml(title)}</caption><thead><tr>${head
    .map((name, i) => `<th scope="col"${kind(i)}>${escapeHtml(name)}</th>`)
    .join('')}</tr></thead><tbody>${body.join('')}</tbody></table></div>`;
}

function pictures({ title, rows }: PictureTable): string {
  const strips = rows.map(
    ({ label, png }) =>
      `<tr><th scope="row">${escapeHtml(label)}</th><td><img alt="${escapeHtml(`${title}: ${label}`)}" src="data:image/png;base64,${png}"></td></tr>`,
  );
  return `<div class="wide"><table class="pictures"><caption>${escapeHtml(title)}</caption><tbody>${strips.join('')}</tbody></table></div>`;
}
