import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import type { DatasetSplit } from '@tierwise/data';
import type { Block } from '@tierwise/report';
import {
  curveBlocks,
  type EpochRecord,
  evaluationOf,
  exitCurve,
  type Interval,
  runCurves,
  type TrainingFacts,
  thresholdOf,
  trainingFacts,
  wilson,
} from '@tierwise/train';
import { chooseCases } from './cases.ts';
import type { BenchOptions } from './options.ts';
import type { BenchResult, BenchRow } from './result.ts';
import {
  findBundles,
  type MeasuredBundle,
  measureBundle,
  repository,
  trainingHistory,
  unfinished,
} from './runs.ts';
import { mean, significant } from './statistics.ts';
import { type Table1Row, table1Rows } from './table1-rows.ts';

/** What is asked of a row; each is a fact of the row with the same name. */
const checks = {
  branchNotLarger: 'the branch has no more bytes than in the paper',
  gapNotLarger: 'from branch to main network it is no further than in the paper',
  compositeNear: 'the composite is within 0.5 points of the main network',
  exitsEnough: "as many exit as in the paper's 100 samples",
} as const;
type Checks = Readonly<Record<keyof typeof checks, boolean>>;

/** Means over the seeds; intervals are those of the samples, for the mean. */
interface Shares {
  readonly mainAccuracy: number;
  readonly branchAccuracy: number;
  readonly compositeAccuracy: number;
  readonly exitRate: number;
}

interface Filled {
  readonly row: Table1Row;
  readonly measured: readonly MeasuredBundle[];
  readonly state: string;
  readonly shares?: Shares;
  readonly testSamples: number;
  readonly training?: TrainingFacts | undefined;
  readonly checks?: Checks;
  /** Epochs done, also of a training that goes on. */
  readonly history: readonly EpochRecord[];
}

/**
 * `tierwise bench table1`: LcDNN's Table 1 with what is trained here, measured now over the whole test set, beside the
 * paper's row. `root` is the folder with `models` and `runs`.
 */
export async function benchTable1(options: BenchOptions, root = repository): Promise<BenchResult> {
  const filled: Filled[] = [];
  const data = new Map<string, DatasetSplit>();
  for (const row of chooseCases(table1Rows, options.cases)) filled.push(await fill(row, root, data, options));
  return {
    bench: 'table1',
    conditions: {
      date: new Date().toISOString().slice(0, 10),
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      measured:
        'as deployed, now, on every test sample: pixels through the branch program, unsure stems through the codec and the rest; thresholds were chosen before on other samples',
      paper:
        'LcDNN (IEEE TMC, doi 10.1109/TMC.2020.3043051), Table 1; exit rates over 100 random samples; MB as 10^6 bytes',
      bytes: 'those of the files; model.onnx, the main network, holds the branch as well',
      intervals: "95 % (Wilson) over the test samples; they say nothing of a training's luck: see seeds",
    },
    rows: filled.map(benchRow),
    blocks: blocksOf(filled),
  };
}

async function fill(
  row: Table1Row,
  root: string,
  data: Map<string, DatasetSplit>,
  options: BenchOptions,
): Promise<Filled> {
  const measured: MeasuredBundle[] = [];
  for (const folder of await findBundles(root, row.bundle))
    measured.push(await measureBundle(folder, row.data, data, options));
  const [first] = measured;
  const history = await trainingHistory(first?.folder ?? join(root, `${row.bundle}.tierwise`));
  if (first === undefined)
    return {
      row,
      measured,
      state: (await unfinished(root, row.bundle)) ?? 'not trained here',
      testSamples: 0,
      history,
    };
  const evaluations = measured.map(({ manifest, data: test, mainAccuracy, samples }) =>
    evaluationOf(manifest, test, mainAccuracy, samples),
  );
  const shares: Shares = {
    mainAccuracy: mean(evaluations.map(({ main }) => main.accuracy)),
    branchAccuracy: mean(evaluations.map(({ branch }) => branch.accuracy)),
    compositeAccuracy: mean(evaluations.map(({ composite }) => composite.accuracy)),
    exitRate: mean(evaluations.map(({ composite }) => composite.exitRate)),
  };
  const { paper } = row;
  // Differences of shares that are equal on paper may be off in the last bit.
  const slack = 1e-9;
  return {
    row,
    measured,
    state: 'trained',
    history,
    shares,
    testSamples: first.samples.length,
    training: trainingFacts(first.manifest.provenance?.['settings']),
    checks: {
      branchNotLarger: branchBytes(measured) <= paper.branchBytes,
      gapNotLarger:
        shares.mainAccuracy - shares.branchAccuracy <= paper.mainAccuracy - paper.branchAccuracy + slack,
      compositeNear: shares.compositeAccuracy >= shares.mainAccuracy - 0.005 - slack,
      exitsEnough: shares.exitRate >= paper.exitRate,
    },
  };
}

const branchBytes = (measured: readonly MeasuredBundle[]) =>
  Math.max(...measured.map(({ manifest }) => manifest.branch.artifact.bytes));

function benchRow({ row, measured, state, shares, testSamples, training, checks: held }: Filled): BenchRow {
  const metrics: Record<string, number> = {};
  for (const [name, share] of Object.entries(shares ?? {})) {
    const [low, high] = wilson(share, testSamples);
    Object.assign(metrics, {
      [name]: significant(share, 6),
      [`${name}Low`]: significant(low, 6),
      [`${name}High`]: significant(high, 6),
    });
  }
  if (measured.length > 0)
    Object.assign(metrics, {
      threshold: significant(mean(measured.map(({ manifest }) => thresholdOf(manifest)))),
      mainBytes: measured[0]!.manifest.main.artifact.bytes,
      branchBytes: branchBytes(measured),
      testSamples,
      seeds: measured.length,
      ...(training && { epochs: training.epochs, trainingSamples: training.samples }),
    });
  for (const [name, value] of Object.entries(row.paper))
    metrics[`paper${name[0]!.toUpperCase()}${name.slice(1)}`] = significant(value, 6);
  return {
    case: row.name,
    metrics,
    facts: {
      network: row.network,
      data: row.data,
      state,
      ...(training && { training: training.phases }),
      ...held,
      command: row.command,
      ...(row.note !== undefined && { note: row.note }),
    },
  };
}

const points = (share: number) => (100 * share).toFixed(2);

/** "99.47 (99.31 to 99.59)". */
function interval(share: number, samples: number): string {
  const [low, high]: Interval = wilson(share, samples);
  return `${points(share)} (${points(low)} to ${points(high)})`;
}

const megabytes = (bytes: number) => `${Number((bytes / 1e6).toPrecision(3))}`;

function blocksOf(filled: readonly Filled[]): Block[] {
  const trained = filled.filter(({ shares }) => shares !== undefined);
  return [
    {
      kind: 'text',
      text: "Each row of LcDNN's Table 1: what is trained here, in percent with its 95 % interval, and below it what the paper says.",
    },
    {
      kind: 'table',
      title: 'Table 1',
      head: [
        '',
        'main',
        'branch',
        'composite',
        'exit',
        'threshold',
        'main MB',
        'branch MB',
        'epochs',
        'samples',
        'seeds',
      ],
      rows: filled.flatMap(tableRows),
    },
    {
      kind: 'table',
      title: 'What is asked of each row that is trained here',
      head: ['', ...Object.values(checks)],
      rows: trained.map(({ row, checks: held }) => [
        row.name,
        ...Object.keys(checks).map((name) => (held![name as keyof Checks] ? 'yes' : 'no')),
      ]),
    },
    {
      kind: 'table',
      title: 'How each row is trained',
      head: ['', 'state', 'command', 'note'],
      rows: filled.map(({ row, state, training }) => [
        row.name,
        training ? `${state}: epochs ${training.phases}` : state,
        row.command,
        row.note ?? '',
      ]),
    },
    ...trained.flatMap(({ row, measured }) =>
      curveBlocks({
        title: row.name,
        curve: exitCurve(measured[0]!.samples),
        marks: [
          { threshold: thresholdOf(measured[0]!.manifest), label: 'ours' },
          { threshold: row.paper.threshold, label: "the paper's" },
        ],
      }),
    ),
    ...filled.flatMap(({ row, history }) =>
      history.length === 0
        ? []
        : runCurves(history).map((block) =>
            'title' in block ? { ...block, title: `${row.name}, training: ${block.title}` } : block,
          ),
    ),
  ];
}

function tableRows({ row, measured, shares, testSamples, training, state }: Filled): string[][] {
  const { paper } = row;
  const ours =
    shares === undefined
      ? [row.name, state, '', '', '', '', '', '', '', '', '']
      : [
          row.name,
          interval(shares.mainAccuracy, testSamples),
          interval(shares.branchAccuracy, testSamples),
          interval(shares.compositeAccuracy, testSamples),
          interval(shares.exitRate, testSamples),
          mean(measured.map(({ manifest }) => thresholdOf(manifest))).toPrecision(3),
          megabytes(measured[0]!.manifest.main.artifact.bytes),
          megabytes(branchBytes(measured)),
          training ? `${training.epochs}` : '',
          training ? training.samples.toLocaleString('en') : '',
          `${measured.length}`,
        ];
  return [
    ours,
    [
      '  paper',
      points(paper.mainAccuracy),
      points(paper.branchAccuracy),
      '',
      points(paper.exitRate),
      `${paper.threshold}`,
      megabytes(paper.mainBytes),
      megabytes(paper.branchBytes),
      '',
      '',
      '',
    ],
  ];
}
