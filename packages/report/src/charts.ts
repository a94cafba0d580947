import type { Axis, BarChart, LineChart } from './blocks.ts';
import { escapeHtml, numberText } from './text.ts';

/**
 * Drawings are about as wide as a phone's page, in its pixels, so that 12 px of text stay readable there. Colours are
 * the classes c0 to c5, which the page's style gives.
 */
const width = 400;

const labelWidth = 104;
const valueWidth = 56;
const rowHeight = 26;

/** A figure with one bar for each value, from zero. */
export function barFigure({ title, bars }: BarChart): string {
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const drawn = bars.map(({ label, value }, i) => {
    const middle = i * rowHeight + rowHeight / 2;
    const length = Math.max(1, (Math.max(0, value) / most) * (width - labelWidth - valueWidth));
    return (
      `<text x="${labelWidth - 8}" y="${middle}" text-anchor="end" dominant-baseline="central">${escapeHtml(label)}</text>` +
      `<rect class="c0" x="${labelWidth}" y="${middle - 8}" width="${length.toFixed(1)}" height="16" rx="2"/>` +
      `<text x="${(labelWidth + length + 6).toFixed(1)}" y="${middle}" dominant-baseline="central">${numberText(value)}</text>`
    );
  });
  const spoken = bars.map(({ label, value }) => `${label} ${numberText(value)}`).join(', ');
  return figure(title, bars.length * rowHeight, `${title}: ${spoken}`, drawn.join(''));
}

const plot = { left: 56, right: 22, top: 24, bottom: 40, height: 270 };

/** A figure with lines or dots over two axes, its legend above. */
export function lineFigure({ title, x, y, series, marks = [] }: LineChart): string {
  const points = series.flatMap((one) => one.points);
  const across = scaleOf(
    x,
    [...points.map((p) => p.x), ...marks.map((m) => m.x)],
    [plot.left, width - plot.right],
  );
  const up = scaleOf(
    y,
    points.map((p) => p.y),
    [plot.height - plot.bottom, plot.top],
  );
  const grid = [
    ...across.ticks.map(
      (tick) =>
        `<path class="grid" d="M${across.at(tick)} ${plot.top}V${plot.height - plot.bottom}"/>` +
        `<text x="${across.at(tick)}" y="${plot.height - plot.bottom + 16}" text-anchor="middle">${escapeHtml(across.text(tick))}</text>`,
    ),
    ...up.ticks.map(
      (tick) =>
        `<path class="grid" d="M${plot.left} ${up.at(tick)}H${width - plot.right}"/>` +
        `<text x="${plot.left - 6}" y="${up.at(tick)}" text-anchor="end" dominant-baseline="central">${escapeHtml(up.text(tick))}</text>`,
    ),
    `<text x="${(plot.left + width - plot.right) / 2}" y="${plot.height - 6}" text-anchor="middle">${escapeHtml(x.label)}</text>`,
    `<text x="4" y="11">${escapeHtml(y.label)}</text>`,
  ];
  const marked = marks.map(({ x: where, label }, i) => {
    const left = Number(across.at(where)) > width / 2;
    return (
      `<path class="mark" d="M${across.at(where)} ${plot.top}V${plot.height - plot.bottom}"/>` +
      `<text class="label" x="${Number(across.at(where)) + (left ? -4 : 4)}" y="${plot.height - plot.bottom - 8 - 15 * i}" text-anchor="${left ? 'end' : 'start'}">${escapeHtml(label)}</text>`
    );
  });
  const free = labelPlacer();
  const drawn = series.map(({ points: own, dots }, i) => {
    const placed = own
      .filter((p) => across.shows(p.x) && up.shows(p.y))
      .map((p) => ({ x: across.at(p.x), y: up.at(p.y), label: p.label }));
    if (!dots) return `<path class="line l${i}" d="M${placed.map((p) => `${p.x} ${p.y}`).join('L')}"/>`;
    return placed
      .map((p) => {
        const dot = `<circle class="c${i}" cx="${p.x}" cy="${p.y}" r="4"/>`;
        return p.label === undefined ? dot : dot + free(Number(p.x), Number(p.y), p.label);
      })
      .join('');
  });
  const legend = (series.length > 1 ? series : [])
    .map(({ name }, i) => `<span><i class="c${i}"></i>${escapeHtml(name)}</span>`)
    .join('');
  const spoken = series
    .map(({ name, points: own }) => {
      const seen = own.filter((p) => across.shows(p.x) && up.shows(p.y));
      const [first, last] = [seen[0], seen.at(-1)];
      return first === undefined || last === undefined
        ? name
        : `${name} from ${up.text(first.y)} at ${across.text(first.x)} to ${up.text(last.y)} at ${across.text(last.x)}`;
    })
    .join('; ');
  return figure(
    title,
    plot.height,
    `${title}: ${spoken}`,
    grid.join('') + drawn.join('') + marked.join(''),
    legend && `<p class="legend">${legend}</p>`,
  );
}

const lineHeight = 13;
/** About that of a letter of 12 px. */
const letterWidth = 6.5;

/** Writes labels beside their points, lower where another one is already. */
function labelPlacer() {
  const taken: { from: number; to: number; y: number }[] = [];
  return (x: number, y: number, label: string): string => {
    const left = x > width * 0.7;
    const start = left ? x - 7 : x + 7;
    const end = start + (left ? -1 : 1) * letterWidth * label.length;
    const [from, to] = [Math.min(start, end), Math.max(start, end)];
    let lower = y;
    while (taken.some((one) => Math.abs(one.y - lower) < lineHeight && one.from < to && from < one.to))
      lower += 1;
    taken.push({ from, to, y: lower });
    return `<text class="label" x="${start}" y="${lower.toFixed(1)}" text-anchor="${left ? 'end' : 'start'}" dominant-baseline="central">${escapeHtml(label)}</text>`;
  };
}

function figure(title: string, height: number, spoken: string, drawing: string, legend = ''): string {
  return `<figure><figcaption>${escapeHtml(title)}</figcaption>${legend}<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(spoken)}">${drawing}</svg></figure>`;
}

interface Scale {
  /** Coordinate in the drawing, to a tenth. */
  at(value: number): string;
  shows(value: number): boolean;
  text(value: number): string;
  readonly ticks: readonly number[];
}

/** Maps the values of an axis to `from`..`to` of the drawing, with ticks at round numbers. */
function scaleOf(axis: Axis, values: readonly number[], [from, to]: readonly [number, number]): Scale {
  const log = axis.scale === 'log';
  const shows = (value: number) => Number.isFinite(value) && (!log || value > 0);
  const inner = (value: number) => (log ? Math.log10(value) : value);
  const shown = values.filter(shows).map(inner);
  let [lo, hi] = shown.length === 0 ? [0, 1] : [Math.min(...shown), Math.max(...shown)];
  if (hi - lo < 1e-9 * Math.max(1, Math.abs(hi))) [lo, hi] = [lo - 0.5, hi + 0.5];
  const step = log
    ? Math.max(1, Math.ceil((hi - lo) / 6))
    : Math.max(axis.whole ? 1 : 0, roundStep((hi - lo) / 5));
  lo = Math.floor(lo / step + 1e-9) * step;
  hi = Math.ceil(hi / step - 1e-9) * step;
  const count = Math.round((hi - lo) / step);
  const ticks = Array.from({ length: count + 1 }, (_, i) => lo + i * step);
  return {
    at: (value) => (from + ((inner(value) - lo) / (hi - lo)) * (to - from)).toFixed(1),
    shows,
    text: axis.text ?? (log ? powerText : (value) => numberText(Number(value.toPrecision(6)))),
    ticks: log ? ticks.map((power) => 10 ** power) : ticks,
  };
}

/** Small and large powers of ten as such: 10⁻⁴. */
function powerText(value: number): string {
  const power = Math.log10(value);
  if (!Number.isInteger(power) || Math.abs(power) < 3) return numberText(value);
  const digits = [...String(Math.abs(power))].map((digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)]);
  return `10${power < 0 ? '⁻' : ''}${digits.join('')}`;
}

/** The next of 1, 2, 5, 10, ... */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= least * 0.999)!;
}
