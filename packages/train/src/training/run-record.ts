import type { Block } from '@tierwise/report';
import { reportPage } from '@tierwise/report';
import { writeFileWhole } from '../files.ts';
import type { HeadName } from '../step/step.ts';
import type { EpochRecord } from './checkpoint.ts';
import type { PhaseKind, TrainingSettings } from './settings.ts';

/** Where the record of the run that makes `output` (NAME.tierwise, or a network's NAME.onnx) lies: beside it. */
export function runRecordFiles(output: string): { readonly json: string; readonly page: string } {
  const base = output.replace(/\.tierwise$/, '');
  return { json: `${base}.run.json`, page: `${base}.run.html` };
}

/**
 * Writes what a training was and how it went, as JSON and as a page with its curves as SVG, which needs no script. Each
 * replaces what lay there.
 * @throws TierwiseError FILE_UNREADABLE naming the file
 */
export async function writeRunRecord(
  output: string,
  settings: TrainingSettings,
  history: readonly EpochRecord[],
): Promise<void> {
  const { json, page } = runRecordFiles(output);
  const text = (value: string) => new TextEncoder().encode(value);
  const record = { format: 'tierwise-run/1', settings, history };
  await writeFileWhole(json, text(`${JSON.stringify(record, null, 2)}\n`));
  await writeFileWhole(page, text(runPage(settings, history)));
}

/** A phase as it is called where people read: with the size of its pictures where that is not their own. */
export function phaseName(phase: PhaseKind, side = 1): string {
  return side === 1 ? phase : `${phase} at ${100 * side} %`;
}

const heads = ['main', 'branch'] as const satisfies readonly HeadName[];

/** Losses, accuracies and learning rate over the epochs. */
export function runCurves(history: readonly EpochRecord[]): Block[] {
  const curve = (of: (record: EpochRecord) => number | undefined) =>
    history.flatMap((record, i) => {
      const y = of(record);
      return y === undefined ? [] : [{ x: i + 1, y }];
    });
  const byHead = (what: 'losses' | 'accuracies' | 'heldBack', times = 1) =>
    heads.flatMap((head) => {
      const points = curve((record) => record[what]?.[head]).map(({ x, y }) => ({ x, y: y * times }));
      const name = what === 'heldBack' ? `${head}, held back` : head;
      return points.length === 0 ? [] : [{ name, points }];
    });
  const marks = history.flatMap(({ phase, side }, i) =>
    i > 0 && (history[i - 1]!.phase !== phase || history[i - 1]!.side !== side)
      ? [{ x: i + 1, label: phaseName(phase, side) }]
      : [],
  );
  const x = { label: 'epoch', whole: true };
  return [
    {
      kind: 'lines',
      title: 'Loss',
      x,
      y: { label: 'mean loss', scale: 'log' },
      series: byHead('losses'),
      marks,
    },
    {
      kind: 'lines',
      title: 'Accuracy',
      x,
      y: { label: '% of altered training samples, or of samples held back' },
      series: [...byHead('accuracies', 100), ...byHead('heldBack', 100)],
      marks,
    },
    {
      kind: 'lines',
      title: 'Learning rate',
      x,
      y: { label: 'at the end of the epoch' },
      series: [{ name: 'rate', points: curve(({ rate }) => rate) }],
      marks,
    },
  ];
}

function runPage(settings: TrainingSettings, history: readonly EpochRecord[]): string {
  const trained = heads.filter((head) => history.some(({ losses }) => losses[head] !== undefined));
  const blocks: Block[] = [
    ...runCurves(history),
    {
      kind: 'table',
      title: 'Epochs',
      head: [
        'epoch',
        'phase',
        ...trained.flatMap((head) => [`${head} loss`, `${head} accuracy, %`, `${head} held back, %`]),
        'seconds',
      ],
      rows: history.map(({ phase, side, losses, accuracies, heldBack, seconds }, i) => [
        `${i + 1}`,
        phaseName(phase, side),
        ...trained.flatMap((head): (string | number)[] => {
          const [loss, accuracy] = [losses[head], accuracies[head]];
          if (loss === undefined || accuracy === undefined) return ['', '', ''];
          const held = heldBack?.[head];
          return [loss, 100 * accuracy, held === undefined ? '' : 100 * held];
        }),
        seconds,
      ]),
    },
    { kind: 'facts', title: 'Settings', facts: factsOf(settings) },
  ];
  return reportPage(`${settings.network} on ${settings.data}`, blocks);
}

/** What only a branch has. */
const ofBranch = new Set(['recipe', 'design']);

function factsOf(settings: TrainingSettings): Record<string, string | number> {
  const alone = settings.phases.every(({ kind }) => kind === 'main');
  const untaught = alone && settings.studentOf === undefined;
  const told = Object.entries(settings).filter(
    ([name]) => !(alone && ofBranch.has(name)) && !(untaught && name === 'temperature'),
  );
  return Object.fromEntries(
    told.map(([name, value]) => [
      name,
      typeof value === 'number' ? value : typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
}
