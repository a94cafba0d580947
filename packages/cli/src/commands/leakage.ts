import { availableParallelism } from 'node:os';
import {
  type Leakage,
  leakageNotes,
  leakageReport,
  measureLeakage,
  precisionText,
  psnrText,
} from '@tierwise/train';
import type { Command } from 'commander';
import { type MeasureFlags, openBundle } from '../bundle.ts';
import { dataHelp } from '../data.ts';
import { writeText } from '../files.ts';
import { handle, untilCtrlC } from '../handle.ts';
import { percent, type Terminal, table } from '../terminal.ts';
import { whole } from '../values.ts';

interface LeakageFlags extends MeasureFlags {
  readonly samples: number;
  readonly seed: number;
  readonly html?: string;
  readonly inverter?: string;
}

/** `tierwise leakage`: how well pictures can be rebuilt from what is sent. */
async function leakageCommand(
  bundle: string,
  flags: LeakageFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  await using opened = await openBundle(bundle, flags, terminal, signal);
  const { composite, manifest, data } = opened;
  const { leakage, inverter, rebuilt } = await measureLeakage(composite, manifest, data, {
    samples: flags.samples,
    seed: flags.seed,
    threads: flags.threads ?? Math.min(4, availableParallelism()),
    signal,
    onProgress: (line) => terminal.progress(`leakage: ${line}`),
  });
  if (flags.html !== undefined) {
    await writeText(flags.html, await leakageReport(manifest.name, leakage, rebuilt));
    terminal.note(`Wrote ${flags.html}`);
  }
  if (flags.inverter !== undefined) {
    await writeText(flags.inverter, JSON.stringify(inverter));
    terminal.note(`Wrote ${flags.inverter}`);
  }
  terminal.result({ ...leakage, warnings: data.warnings }, leakageText);
}

function leakageText(leakage: Leakage): string {
  const { files, meanPicture, rows, deployed } = leakage;
  const cells = rows.map((row) => [
    `${precisionText(row.precision)}${row.precision === deployed ? ' *' : ''}`,
    Math.round(row.payloadBytes),
    percent(row.savedOfPng),
    percent(row.savedOfJpeg),
    `${psnrText(row.linear.psnrDb)} dB`,
    percent(row.linear.reidentified),
    `${psnrText(row.learned.psnrDb)} dB`,
    percent(row.learned.reidentified),
    percent(row.mainAccuracy),
  ]);
  return [
    `${leakage.data}: the same pictures are ${Math.round(files.pngBytes)} bytes as PNG and ${Math.round(files.jpegBytes)} as JPEG; the mean picture has ${psnrText(meanPicture.psnrDb)} dB`,
    table([
      ['sent', 'bytes', 'PNG saved', 'JPEG saved', 'linear', 'found', 'learned', 'found', 'main right'],
      ...cells,
    ]),
    '* as deployed; found: nearest to the picture that it was made from',
    ...leakageNotes(leakage),
  ].join('\n');
}

/** Adds `tierwise leakage` and its options. */
export function addLeakage(program: Command): void {
  program
    .command('leakage')
    .description('measure how well pictures can be rebuilt from what a bundle sends, at every precision')
    .argument('<bundle>', 'NAME.tierwise')
    .requiredOption('--data <name|folder>', dataHelp)
    .option('--samples <n>', 'test pictures that are rebuilt, and told from each other', whole(2), 1000)
    .option('--seed <n>', 'of every random choice', whole(0), 1)
    .option('--html <file>', 'write a report with charts and rebuilt pictures')
    .option('--inverter <file>', 'write the linear inverter as JSON, for a page that shows what it reveals')
    .option('--threads <n>', 'default: one per core, at most 4', whole(1))
    .option('--json', 'print one JSON object')
    .action(
      handle((terminal, bundle: string, flags: LeakageFlags) =>
        leakageCommand(bundle, flags, terminal, untilCtrlC()),
      ),
    );
}
