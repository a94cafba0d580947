import type { Block, Series } from '@tierwise/report';
import type { CurvePoint } from '../bundle/threshold.ts';

/** An exit curve, as charts of a report. */
export interface CurveCharts {
  /** What the captions begin with, for example the name of the composite. */
  readonly title: string;
  readonly curve: readonly CurvePoint[];
  /** Expected milliseconds of a sample at a point; no chart without it. */
  readonly latencyMs?: (point: CurvePoint) => number;
  /** Named thresholds. */
  readonly marks: readonly { readonly threshold: number; readonly label: string }[];
}

/** More points than this are not to be told apart in a drawing. */
const mostPoints = 400;
/** Thresholds are drawn from here on: smaller entropies are those of float32 scores without any doubt. */
const leastThreshold = 1e-6;

const percentText = (share: number) => `${Number((100 * share).toPrecision(4))} %`;

/** Accuracy, exit rate, bytes and expected latency over the threshold (LcDNN, Fig. 14), and accuracy over exit rate. */
export function curveBlocks({ title, curve, latencyMs, marks }: CurveCharts): Block[] {
  const step = Math.max(1, Math.ceil(curve.length / mostPoints));
  const points = curve.filter((_, i) => i % step === 0 || i === curve.length - 1);
  const over = (name: string, y: (point: CurvePoint) => number): Series => ({
    name,
    points: points
      .filter((point) => point.threshold >= leastThreshold)
      .map((point) => ({ x: Math.min(1, point.threshold), y: y(point) })),
  });
  const x = { label: 'threshold (normalised entropy)', scale: 'log' } as const;
  const drawn = marks
    .filter(({ threshold }) => threshold >= leastThreshold)
    .map(({ threshold, label }) => ({ x: Math.min(1, threshold), label }));
  const chart = (
    what: string,
    y: string,
    text: ((v: number) => string) | undefined,
    series: Series,
  ): Block => ({
    kind: 'lines',
    title: `${title}: ${what} over the threshold`,
    x,
    y: { label: y, ...(text && { text }) },
    series: [series],
    marks: drawn,
  });
  return [
    chart(
      'accuracy',
      'accuracy',
      percentText,
      over('composite', (p) => p.accuracy),
    ),
    chart(
      'exits',
      'exit rate',
      percentText,
      over('exit on the device', (p) => p.exitRate),
    ),
    chart(
      'upload',
      'bytes',
      undefined,
      over('mean bytes sent for a request', (p) => p.uploadBytes),
    ),
    ...(latencyMs ? [chart('latency', 'ms', undefined, over('expected, warm', latencyMs))] : []),
    {
      kind: 'lines',
      title: `${title}: accuracy over exit rate`,
      x: { label: 'exit rate', text: percentText },
      y: { label: 'accuracy', text: percentText },
      series: [{ name: 'composite', points: points.map((p) => ({ x: p.exitRate, y: p.accuracy })) }],
    },
  ];
}
