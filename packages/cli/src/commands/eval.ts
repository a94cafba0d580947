import { type Evaluation, evaluate, type Interval } from '@tierwise/train';
import { type MeasureFlags, openBundle } from '../bundle.ts';
import { bytesText, percent, type Terminal, table } from '../terminal.ts';

/** `tierwise eval`: the composite as deployed, over every test sample. */
export async function evalCommand(
  bundle: string,
  flags: MeasureFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  await using opened = await openBundle(bundle, flags, terminal, signal);
  const { composite, manifest, data } = opened;
  const evaluation = await evaluate(composite, manifest, data.test, {
    signal,
    onProgress: (p) => terminal.progress(`composite: ${p.done} of ${p.samples} samples`),
  });
  terminal.result({ ...evaluation, warnings: data.warnings }, () => evaluationText(evaluation));
}

/** "99.46 % (99.30 to 99.59)": a share with the interval that it lies in with 95 %. */
export function shareText(share: number, [lo, hi]: Interval): string {
  return `${percent(share)} (${(100 * lo).toFixed(2)} to ${(100 * hi).toFixed(2)})`;
}

export function evaluationText({ main, branch, composite, test }: Evaluation): string {
  return [
    `${test.data}, ${test.samples.toLocaleString('en')} test samples; in brackets the 95 % interval`,
    table([
      ['main', shareText(main.accuracy, main.accuracyInterval), bytesText(main.bytes)],
      ['branch', shareText(branch.accuracy, branch.accuracyInterval), bytesText(branch.bytes)],
      [
        'composite',
        shareText(composite.accuracy, composite.accuracyInterval),
        `${shareText(composite.exitRate, composite.exitRateInterval)} exit on the device below an entropy of ${composite.threshold.toPrecision(3)}`,
      ],
    ]),
    `the others send their stem, ${composite.codec}: ${Math.round(composite.payloadBytes)} bytes on average`,
  ].join('\n');
}
