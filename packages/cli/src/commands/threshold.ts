import { TierwiseError } from '@tierwise/core';
import type { Dataset, DatasetSplit } from '@tierwise/data';
import { type Context, type Manifest, predict } from '@tierwise/plan';
import { reportPage } from '@tierwise/report';
import {
  atThreshold,
  type CurvePoint,
  chooseThreshold,
  curveBlocks,
  evaluationOf,
  exitCurve,
  gainOfExits,
  heldBackSamples,
  type Interval,
  judge,
  printedThreshold,
  rewriteManifest,
  thresholdOf,
  wilson,
} from '@tierwise/train';
import { type Command, Option } from 'commander';
import { type MeasureFlags, type OpenedBundle, openBundle } from '../bundle.ts';
import { dataHelp } from '../data.ts';
import { writeText } from '../files.ts';
import { handle, untilCtrlC } from '../handle.ts';
import { linkContext, linkNames } from '../link.ts';
import { bytesText, percent, type Terminal, table } from '../terminal.ts';
import { real, whole } from '../values.ts';
import { shareText } from './eval.ts';

export const sampleChoices = ['held-back', 'train', 'test'] as const;
const algorithms = ['exact', 'printed'] as const;

export interface ThresholdFlags extends MeasureFlags {
  readonly samples: (typeof sampleChoices)[number];
  readonly algorithm: (typeof algorithms)[number];
  readonly minAccuracy?: number;
  readonly maxUpload?: number;
  readonly minExit?: number;
  readonly maxExit?: number;
  readonly tolerance: number;
  readonly link: string;
  readonly deviceGflops: number;
  readonly edgeGflops: number;
  readonly html?: string;
  readonly write: boolean;
}

/** A point of the curve with what it means for a user. */
interface Candidate extends CurvePoint {
  readonly name: string;
  readonly accuracyInterval: Interval;
  readonly exitRateInterval: Interval;
  readonly latencyMs: number;
}

/** `tierwise threshold`: what every threshold would do, which one reaches the targets, and its writing into the bundle. */
async function thresholdCommand(
  bundle: string,
  flags: ThresholdFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const context = linkContext(flags.link);
  await using opened = await openBundle(bundle, flags, terminal, signal);
  const { manifest, composite } = opened;
  const data = chooseSamples(manifest, opened.data, flags, bundle);
  for (const warning of warnings(flags.samples)) terminal.note(`Warning: ${warning}`);
  const samples = await judge(composite, data, manifest.codec, {
    signal,
    onProgress: (p) => terminal.progress(`${flags.samples} samples: ${p.done} of ${p.samples}`),
  });
  const curve = exitCurve(samples);
  const targets = {
    minAccuracy: flags.minAccuracy,
    maxUploadBytes: flags.maxUpload,
    minExitRate: flags.minExit,
    maxExitRate: flags.maxExit,
  };
  const latencyMs = (point: CurvePoint) => expectedMs(manifest, point, flags, context);
  const candidate = (name: string, point: CurvePoint): Candidate => ({
    name,
    ...point,
    accuracyInterval: wilson(point.accuracy, samples.length),
    exitRateInterval: wilson(point.exitRate, samples.length),
    latencyMs: latencyMs(point),
  });
  const { bestAccuracy, ...exact } = chooseThreshold(samples, flags.tolerance, targets);
  const printed = candidate('printed (algorithm 2)', atThreshold(samples, printedThreshold(samples)));
  const options = [
    candidate('in the bundle', atThreshold(samples, thresholdOf(manifest))),
    candidate('exact sweep', exact),
    printed,
    candidate('nobody exits', curve[0]!),
    candidate('everybody exits', curve.at(-1)!),
  ];
  const chosen = flags.algorithm === 'exact' ? options[1]! : printed;
  const { gain, interval } = gainOfExits(samples, chosen.threshold);
  const points = (share: number) => (100 * share).toFixed(2);
  const gainText = `${chosen.name}: ${points(Math.abs(gain))} points ${gain < 0 ? 'less' : 'more'} of these samples right than if nobody exited, 95 % interval ${points(interval[0])} to ${points(interval[1])}.${chosen === printed ? '' : ' It was the best of many on these: on others expect less.'}`;
  if (flags.write) await write(bundle, opened, chosen, samples.length, flags, terminal, signal);
  const note = `${samples.length.toLocaleString('en')} ${flags.samples} samples of ${data.name}; in brackets the 95 % interval. Latency is predicted for a warm sample on ${flags.link}, ${flags.deviceGflops} GFLOP/s on the device and ${flags.edgeGflops} on the edge.`;
  if (flags.html !== undefined)
    await writeText(
      flags.html,
      reportPage(`Threshold of ${manifest.name}`, [
        { kind: 'text', text: note },
        { kind: 'table', title: 'Thresholds', head: [...head], rows: options.map(row) },
        { kind: 'text', text: gainText },
        ...curveBlocks({
          title: manifest.name,
          curve,
          latencyMs,
          marks: options.slice(0, 3).map(({ name, threshold }) => ({ threshold, label: name })),
        }),
      ]),
    );
  terminal.result(
    {
      bundle,
      data: data.name,
      samples: { from: flags.samples, count: samples.length },
      targets,
      tolerance: flags.tolerance,
      algorithm: flags.algorithm,
      link: flags.link,
      bestAccuracy,
      chosen: { ...chosen, gain, gainInterval: interval },
      options,
      written: flags.write,
      curve: curve.map((point) => ({ ...point, latencyMs: latencyMs(point) })),
      warnings: [...warnings(flags.samples), ...opened.data.warnings.map(({ message }) => message)],
    },
    () =>
      [
        note,
        table([[...head], ...options.map(row)]),
        gainText,
        '',
        'Part of the curve:',
        table(
          [[...head], ...excerpt(curve).map((point) => row(candidate('', point)))].map((r) => r.slice(1)),
        ),
        '',
        flags.write
          ? `${chosen.threshold.toPrecision(4)} (${chosen.name}) is now the threshold of ${bundle}, and what it measures on the test set is in its manifest.`
          : `${chosen.name}: ${chosen.threshold.toPrecision(4)}. Nothing is changed; --write puts it into the bundle.`,
      ].join('\n'),
  );
  if (flags.html !== undefined) terminal.note(`The report is in ${flags.html}.`);
}

const head = ['', 'threshold', 'accuracy', 'exit', 'bytes a request', 'ms'] as const;

function row(candidate: Candidate): string[] {
  return [
    candidate.name,
    candidate.threshold.toPrecision(4),
    shareText(candidate.accuracy, candidate.accuracyInterval),
    shareText(candidate.exitRate, candidate.exitRateInterval),
    bytesText(Math.round(candidate.uploadBytes)),
    candidate.latencyMs.toFixed(1),
  ];
}

/** The points nearest to every tenth of the exit rate, and more where nearly everybody exits. */
function excerpt(curve: readonly CurvePoint[]): CurvePoint[] {
  const rates = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995];
  const nearest = rates.map((rate) =>
    curve.reduce((best, p) => (Math.abs(p.exitRate - rate) < Math.abs(best.exitRate - rate) ? p : best)),
  );
  return nearest.filter((point, i) => point !== nearest[i - 1]);
}

/** As `tierwise plan` predicts for this Plan: the curve's exit rate and mean payload instead of the bundle's. */
function expectedMs(
  { flops, labels, branch }: Manifest,
  { exitRate, uploadBytes }: CurvePoint,
  flags: ThresholdFlags,
  context: Context,
): number {
  return predict(
    {
      deviceFlops: flops.stem + flops.branch,
      edgeFlops: flops.rest,
      uplinkBytes: exitRate < 1 ? uploadBytes / (1 - exitRate) : 0,
      classes: labels.length,
      exitRate,
      downloadBytes: branch.artifact.bytes,
    },
    { deviceFlopsPerSecond: flags.deviceGflops * 1e9, edgeFlopsPerSecond: flags.edgeGflops * 1e9 },
    context,
  ).latencyMs;
}

/** What speaks against samples. */
export function warnings(samples: ThresholdFlags['samples']): string[] {
  if (samples === 'test')
    return [
      'a threshold chosen on the test set has seen the answers: what it measures there is too good. Use other samples before you publish a figure.',
    ];
  if (samples === 'train')
    return [
      'if the network learnt from these samples, branch and main are surer and better on them than on new ones.',
    ];
  return [];
}

/** @throws TierwiseError USAGE when the held-back samples are wanted and not known */
export function chooseSamples(
  manifest: Manifest,
  data: DatasetSplit,
  flags: Pick<ThresholdFlags, 'samples' | 'data'>,
  bundle: string,
): Dataset {
  if (flags.samples !== 'held-back') return data[flags.samples];
  const held = heldBackSamples(manifest, data.train);
  if (held === undefined)
    throw new TierwiseError(
      'USAGE',
      `${bundle} was not trained here on ${flags.data}, so no held-back samples are known; --samples train takes the training half of ${flags.data}, which is right for data that the network has not learnt from`,
    );
  return held;
}

/** Stores the threshold with what the composite measures on the test set with it. */
async function write(
  folder: string,
  { manifest, composite, data }: OpenedBundle,
  chosen: Candidate,
  count: number,
  flags: ThresholdFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const { test } = data;
  const next: Manifest = { ...manifest, exit: { kind: 'entropy', threshold: chosen.threshold } };
  const mainAccuracy = await composite.mainAccuracy(test);
  const judged = await judge(composite, test, next.codec, {
    signal,
    finish: (entropy) => entropy >= chosen.threshold,
    onProgress: (p) => terminal.progress(`test samples: ${p.done} of ${p.samples}`),
  });
  const measured = evaluationOf(next, test, mainAccuracy, judged);
  await rewriteManifest(folder, {
    ...next,
    measured: {
      data: test.name,
      samples: test.samples,
      mainAccuracy,
      branchAccuracy: measured.branch.accuracy,
      compositeAccuracy: measured.composite.accuracy,
      exitRate: measured.composite.exitRate,
    },
    provenance: {
      ...manifest.provenance,
      threshold: {
        algorithm: flags.algorithm,
        data: data.train.name,
        samples: flags.samples,
        count,
        tolerance: flags.tolerance,
        minAccuracy: flags.minAccuracy,
        maxUploadBytes: flags.maxUpload,
        minExitRate: flags.minExit,
        maxExitRate: flags.maxExit,
        accuracy: chosen.accuracy,
        exitRate: chosen.exitRate,
      },
    },
  });
  terminal.note(
    `On the test set: composite ${percent(measured.composite.accuracy)}, ${percent(measured.composite.exitRate)} exit, main ${percent(mainAccuracy)}.`,
  );
}

/** Adds `tierwise threshold` and its options. */
export function addThreshold(program: Command): void {
  program
    .command('threshold')
    .description('show what every exit threshold of a bundle would do, and choose one')
    .argument('<bundle>', 'NAME.tierwise')
    .requiredOption('--data <name|folder>', dataHelp)
    .addOption(
      new Option(
        '--samples <which>',
        'of the data: those that the training held back, its training half, or the test set (only to look at)',
      )
        .choices(sampleChoices)
        .default('held-back'),
    )
    .option('--min-accuracy <share>', 'least accuracy of the composite, 0 to 1', real(0, 1))
    .option('--max-upload <bytes>', 'most bytes sent for a request, on average', real(0, 1e9))
    .option('--min-exit <share>', 'least share of samples that exit on the device, 0 to 1', real(0, 1))
    .option('--max-exit <share>', 'most of them', real(0, 1))
    .option(
      '--tolerance <share>',
      'accuracy given up for more exits, without --min-accuracy',
      real(0, 1),
      0.0003,
    )
    .addOption(
      new Option(
        '--algorithm <name>',
        'exact: sweep over all thresholds; printed: algorithm 2 of the LcDNN paper, a random walk, for comparison',
      )
        .choices(algorithms)
        .default('exact'),
    )
    .option('--link <name>', `for the expected latency; one of: ${linkNames.join(', ')}`, 'fast-4g')
    .option('--device-gflops <x>', 'speed of the device, multiply and add counted apart', real(0.001, 1e6), 2)
    .option('--edge-gflops <x>', 'speed of the edge', real(0.001, 1e6), 20)
    .option('--write', 'store the threshold in the bundle, measured anew on the test set', false)
    .option('--html <file>', 'write a report with the curves')
    .option('--threads <n>', 'default: one per core, at most 4', whole(1))
    .option('--json', 'print one JSON object, with the whole curve')
    .action(
      handle((terminal, bundle: string, flags: ThresholdFlags) =>
        thresholdCommand(bundle, flags, terminal, untilCtrlC()),
      ),
    );
}
