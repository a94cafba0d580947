import { expect, test } from 'vitest';
import { reportPage } from './page.ts';
import { numberText } from './text.ts';

const bars = {
  kind: 'bars',
  title: 'ms',
  bars: [
    { label: 'a & b', value: 0.5 },
    { label: 'c', value: 2 },
  ],
} as const;

test('a page escapes what it is given and needs nothing from outside', () => {
  const html = reportPage('A <fast> "one"', [
    bars,
    { kind: 'text', text: '1 < 2' },
    {
      kind: 'table',
      title: 'T',
      head: ['name', 'value', 'note'],
      rows: [
        ['x<y', 0.12345, '-'],
        ['z', 7, ''],
      ],
    },
    { kind: 'facts', title: 'Conditions', facts: { cpu: 'a & b', cores: 2 } },
  ]);
  expect(html).toContain('A &lt;fast&gt; &quot;one&quot;');
  expect(html).toContain('aria-label="ms: a &amp; b 0.5, c 2"');
  expect(html).toContain('<th scope="row">x&lt;y</th><td class="number">0.123</td><td>-</td>');
  expect(html).toContain('<dd>a &amp; b</dd>');
  expect(html).not.toMatch(/<script|<link|https?:|src=|@import|url\(/);
  expect(html).toContain('prefers-color-scheme: dark');
});

test('bars are as long as their values; zeros and nothing are drawn, too', () => {
  const [small, large] = [...reportPage('', [bars]).matchAll(/<rect [^>]*width="([\d.]+)"/g)].map((match) =>
    Number(match[1]),
  );
  expect(small! / large!).toBeCloseTo(0.25, 2);
  expect(
    reportPage('', [
      { ...bars, bars: [{ label: 'none', value: 0 }] },
      { ...bars, bars: [] },
    ]),
  ).not.toContain('NaN');
});

const lines = (points: { x: number; y: number; label?: string }[], scale: 'linear' | 'log' = 'linear') =>
  reportPage('', [
    {
      kind: 'lines',
      title: 'curve',
      x: { label: 'x', scale },
      y: { label: 'y', text: (v) => `${v.toFixed(1)} %` },
      series: [{ name: 'one', points }],
      marks: [{ x: 10, label: 'here' }],
    },
  ]);

test('a line goes through its points, within the drawing, with round ticks', () => {
  const html = lines([
    { x: 0, y: 0 },
    { x: 10, y: 50 },
    { x: 20, y: 100 },
  ]);
  const path = /class="line l0" d="M([^"]+)"/.exec(html)![1]!;
  const placed = path.split('L').map((pair) => pair.split(' ').map(Number));
  expect(placed).toHaveLength(3);
  expect(placed[1]![0]! - placed[0]![0]!).toBeCloseTo(placed[2]![0]! - placed[1]![0]!, 1);
  expect(placed[0]![1]).toBeGreaterThan(placed[2]![1]!);
  for (const [x, y] of placed) {
    expect(x).toBeGreaterThan(0);
    expect(x).toBeLessThan(400);
    expect(y).toBeGreaterThan(0);
    expect(y).toBeLessThan(260);
  }
  expect(html).toContain('>20.0 %</text>');
  expect(html).toContain('curve: one from 0.0 % at 0 to 100.0 % at 20');
  expect(html).toContain('>here</text>');
});

test('a logarithmic axis has powers of ten and leaves out what has no logarithm', () => {
  const html = lines(
    [
      { x: 0, y: 1 },
      { x: 0.001, y: 1 },
      { x: 1, y: 2 },
    ],
    'log',
  );
  expect(html).toContain('>0.01</text>');
  expect(/class="line l0" d="M([^"]+)"/.exec(html)![1]!.split('L')).toHaveLength(2);
});

test.each([[[]], [[{ x: 1, y: 1 }]], [[{ x: Number.NaN, y: 1 }]]])(
  '%j is drawn without a number that is none',
  (points) => {
    expect(lines(points)).not.toContain('NaN');
  },
);

test.each([
  [0.08051, '0.0805'],
  [12.349, '12.3'],
  [4_102_000, '4,102,000'],
])('%d is written %s', (value, text) => {
  expect(numberText(value)).toBe(text);
});

test('labels of dots that lie together do not', () => {
  const html = reportPage('', [
    {
      kind: 'lines',
      title: '',
      x: { label: 'x' },
      y: { label: 'y' },
      series: [
        {
          name: '',
          dots: true,
          points: ['first', 'second', 'third'].map((label, i) => ({ x: 1 + i / 1000, y: 1, label })),
        },
        { name: 'far', dots: true, points: [{ x: 9, y: 0, label: 'far' }] },
      ],
    },
  ]);
  const heights = [...html.matchAll(/class="label" x="[^"]+" y="([^"]+)"/g)].map((match) => Number(match[1]));
  expect(heights).toHaveLength(4);
  for (const [i, height] of heights.slice(1, 3).entries())
    expect(height - heights[i]!).toBeGreaterThanOrEqual(13);
});
