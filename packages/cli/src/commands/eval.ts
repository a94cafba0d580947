import {
  type Confidence,
  confidenceReport,
  type Evaluation,
  evaluate,
  type Interval,
  measureConfidence,
  type NetworkEvaluation,
  rejectionText,
} from '@tierwise/train';
import type { Command } from 'commander';
import { type MeasureFlags, openBundle } from '../bundle.ts';
import { dataHelp, loadData } from '../data.ts';
import { writeText } from '../files.ts';
import { handle, untilCtrlC } from '../handle.ts';
import { bytesText, percent, type Terminal, table } from '../terminal.ts';
import { whole } from '../values.ts';

interface EvalFlags extends MeasureFlags {
  /** Pictures of other things, to measure how many are told to be none of the classes. */
  readonly strangers?: string;
  readonly html?: string;
}

/** `tierwise eval`: the composite as deployed, over every test sample. */
async function evalCommand(
  bundle: string,
  flags: EvalFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  await using opened = await openBundle(bundle, flags, terminal, signal);
  const { composite, manifest, data } = opened;
  const evaluation = await evaluate(composite, manifest, data.test, {
    signal,
    onProgress: (p) => terminal.progress(`composite: ${p.done} of ${p.samples} samples`),
  });
  terminal.progress('confidence');
  const { channels, height, width } = data.test;
  const strangers =
    flags.strangers === undefined
      ? undefined
      : (await loadData(flags.strangers, { channels, height, width }, terminal, signal)).test;
  const confidence = await measureConfidence(composite, manifest, data, {
    signal,
    ...(strangers === undefined ? {} : { strangers }),
  });
  if (flags.html !== undefined) {
    await writeText(flags.html, confidenceReport(manifest.name, data.test.name, confidence));
    terminal.note(`Wrote ${flags.html}`);
  }
  terminal.result({ ...evaluation, confidence, warnings: data.warnings }, () =>
    [evaluationText(evaluation), confidenceText(confidence)].join('\n'),
  );
}

/** "99.46 % (99.30 to 99.59)": a share with the interval that it lies in with 95 %. */
export function shareText(share: number, [lo, hi]: Interval): string {
  return `${percent(share)} (${(100 * lo).toFixed(2)} to ${(100 * hi).toFixed(2)})`;
}

const testText = ({ data, samples }: Evaluation['test']) =>
  `${data}, ${samples.toLocaleString('en')} test samples; in brackets the 95 % interval`;

const partRow = (name: string, { accuracy, accuracyInterval, bytes }: Evaluation['main']) => [
  name,
  shareText(accuracy, accuracyInterval),
  bytesText(bytes),
];

/** What a network without a branch does, for people. */
export function networkText({ main, test }: NetworkEvaluation): string {
  return [testText(test), table([partRow('main', main)])].join('\n');
}

export function evaluationText({ main, branch, composite, test }: Evaluation): string {
  return [
    testText(test),
    table([
      partRow('main', main),
      partRow('branch', branch),
      [
        'composite',
        shareText(composite.accuracy, composite.accuracyInterval),
        `${shareText(composite.exitRate, composite.exitRateInterval)} exit on the device below an entropy of ${composite.threshold.toPrecision(3)}`,
      ],
    ]),
    `the others send their stem, ${composite.codec}: ${Math.round(composite.payloadBytes)} bytes on average`,
  ].join('\n');
}

function confidenceText({ calibration, temperature, classes, rejection }: Confidence): string {
  const lines = [
    `calibration error of the branch: ${percent(calibration.ece)}${temperature === undefined ? '' : `; with a temperature of ${temperature.value.toFixed(2)}, which is not applied, ${percent(temperature.ece)}`}`,
  ];
  if (rejection !== undefined) lines.push(`none of these: ${rejectionText(rejection)}`);
  const rows = classes.map(({ label, samples, accuracy, branchAccuracy, exitRate }) => [
    label,
    samples,
    percent(accuracy),
    percent(branchAccuracy),
    percent(exitRate),
  ]);
  lines.push(table([['class', 'samples', 'composite', 'branch', 'exits'], ...rows]));
  return lines.join('\n');
}

/** Adds `tierwise eval` and its options. */
export function addEval(program: Command): void {
  program
    .command('eval')
    .description('measure a bundle as it is deployed, over every test sample')
    .argument('<bundle>', 'NAME.tierwise')
    .requiredOption('--data <name|folder>', dataHelp)
    .option(
      '--strangers <name|folder>',
      'pictures of other things, to measure how well they are told from the classes',
    )
    .option('--html <file>', 'write a report with the reliability chart')
    .option('--threads <n>', 'default: one per core, at most 4', whole(1))
    .option('--json', 'print one JSON object')
    .action(
      handle((terminal, bundle: string, flags: EvalFlags) =>
        evalCommand(bundle, flags, terminal, untilCtrlC()),
      ),
    );
}
