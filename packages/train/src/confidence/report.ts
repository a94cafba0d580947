import type { Block } from '@tierwise/report';
import { reportPage } from '@tierwise/report';
import type { Confidence } from './confidence.ts';
import type { Rejection } from './rejection.ts';

const share = (value: number) => `${(100 * value).toFixed(1)} %`;
const tick = (value: number) => `${Math.round(100 * value)} %`;

/** What is rejected, in a sentence's middle. */
export function rejectionText({ threshold, knownRejected, strangers }: Rejection): string {
  const others =
    strangers &&
    ` and ${share(strangers.rejected)} of ${strangers.data} (area under the ROC curve ${strangers.auroc.toFixed(3)})`;
  return `below an energy of ${threshold.toPrecision(4)} are ${share(knownRejected)} of the test samples${others ?? ''}`;
}

/** A page that opens offline: the reliability chart, and each class. */
export function confidenceReport(name: string, data: string, confidence: Confidence): string {
  const { calibration, temperature, classes, rejection } = confidence;
  const points = calibration.bins.flatMap(({ confidence: x, accuracy: y }) =>
    x === undefined || y === undefined ? [] : [{ x, y }],
  );
  const blocks: Block[] = [
    {
      kind: 'facts',
      title: 'In short',
      facts: {
        'Calibration error': share(calibration.ece),
        ...(temperature && {
          'With a temperature': `${temperature.value.toFixed(2)}, chosen on held-back samples: ${share(temperature.ece)}. It is not applied, because the exit threshold was chosen without it`,
        }),
        ...(rejection && {
          'None of these': rejectionText(rejection),
        }),
      },
    },
    {
      kind: 'lines',
      title: 'Is the branch as often right as it says?',
      x: { label: 'its confidence', text: tick },
      y: { label: 'how often it is right', text: tick },
      series: [
        { name: 'branch', points },
        {
          name: 'if it were exactly so',
          points: [
            { x: 0, y: 0 },
            { x: 1, y: 1 },
          ],
        },
      ],
    },
    {
      kind: 'bars',
      title: 'Answered on the device, % of each class',
      bars: classes.map(({ label, exitRate }) => ({ label, value: 100 * exitRate })),
    },
    {
      kind: 'table',
      title: 'By class',
      head: ['class', 'samples', 'composite right', 'branch right', 'answered on the device'],
      rows: classes.map(({ label, samples, accuracy, branchAccuracy, exitRate }) => [
        label,
        samples,
        share(accuracy),
        share(branchAccuracy),
        share(exitRate),
      ]),
    },
    {
      kind: 'table',
      title: 'By confidence',
      head: ['confidence', 'samples', 'mean', 'right'],
      rows: calibration.bins.map(({ samples, confidence: mean, accuracy }, i) => [
        `${10 * i} to ${10 * (i + 1)} %`,
        samples,
        mean === undefined ? '-' : share(mean),
        accuracy === undefined ? '-' : share(accuracy),
      ]),
    },
  ];
  return reportPage(`Confidence of ${name} on ${data}`, blocks);
}
