import { availableParallelism } from 'node:os';
import {
  type Leakage,
  leakageNotes,
  leakageReport,
  measureLeakage,
  precisionText,
  psnrText,
} from '@tierwise/train';
import { type MeasureFlags, openBundle } from '../bundle.ts';
import { writeText } from '../files.ts';
import { percent, type Terminal, table } from '../terminal.ts';

export interface LeakageFlags extends MeasureFlags {
  readonly samples: number;
  readonly seed: number;
  readonly html?: string;
  readonly inverter?: string;
}

/** `tierwise leakage`: how well pictures can be rebuilt from what is sent. */
export async function leakageCommand(
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
