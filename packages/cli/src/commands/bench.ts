import type { BenchName, BenchResult } from '@tierwise/bench';
import { TierwiseError } from '@tierwise/core';
import type { Block } from '@tierwise/report';
import type { Command } from 'commander';
import { findChrome } from '../chrome.ts';
import { writeText } from '../files.ts';
import { handle, untilCtrlC } from '../handle.ts';
import { type Terminal, table } from '../terminal.ts';
import { collect, whole } from '../values.ts';

interface BenchFlags {
  /** Only these cases; all when empty. */
  readonly case: readonly string[];
  readonly runs?: number;
  /** File for a report with charts. */
  readonly html?: string;
}

/** `tierwise bench`: one figure of the README, measured here and now, with its rivals in the same run. */
async function benchCommand(
  name: string,
  flags: BenchFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const { benchmarks, htmlReport } = await openBench();
  if (!Object.hasOwn(benchmarks, name))
    throw new TierwiseError(
      'USAGE',
      `there is no benchmark "${name}"; there are: ${Object.keys(benchmarks).join(', ')}`,
    );
  const result: BenchResult = await benchmarks[name as BenchName].run({
    chromePath: findChrome(),
    signal,
    onProgress: (line) => terminal.progress(line),
    cases: flags.case,
    runs: flags.runs,
  });
  if (flags.html !== undefined) await writeText(flags.html, htmlReport(result));
  const { blocks, ...json } = result;
  terminal.result(json, () => resultText(result));
  if (flags.html !== undefined) terminal.note(`The report is in ${flags.html}.`);
}

/** The benchmarks and their rivals are part of the workspace, not of what is published. */
async function openBench(): Promise<typeof import('@tierwise/bench')> {
  try {
    return await import('@tierwise/bench');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new TierwiseError(
      'ENGINE_MISSING',
      'benchmarks need the whole workspace: clone the repository and run `npx tierwise bench` there',
      {},
      { cause },
    );
  }
}

/** What of a report can be said without drawings. */
function blocksText(blocks: readonly Block[]): string {
  const said = blocks.flatMap((block) => {
    if (block.kind === 'text') return [block.text];
    if (block.kind === 'table') return [`${block.title}\n${table([block.head, ...block.rows])}`];
    return [];
  });
  return said.join('\n\n');
}

/** Cases side by side, or one below the other where they are more than the metrics. */
function resultText({ bench, conditions, rows, blocks }: BenchResult): string {
  if (blocks !== undefined) return blocksText(blocks);
  const metrics = [...new Set(rows.flatMap((row) => Object.keys(row.metrics)))];
  const facts = [...new Set(rows.flatMap((row) => Object.keys(row.facts ?? {})))];
  const columns = [
    [bench, ...metrics, ...facts],
    ...rows.map((row) => [
      row.case,
      ...metrics.map((metric) => row.metrics[metric] ?? ''),
      ...facts.map((fact) => String(row.facts?.[fact] ?? '')),
    ]),
  ];
  const sideBySide = columns[0]!.map((_, i) => columns.map((column) => column[i]!));
  return [
    table(columns.length > sideBySide.length ? columns : sideBySide),
    '',
    table(Object.entries(conditions).map(([name, value]) => [name, String(value)])),
  ].join('\n');
}

/** Adds `tierwise bench` and its options. */
export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure a figure of the README here, rivals in the same run')
    .argument('<name>', 'kernels, branch, first-answer, edge, wire, plan, train, table1 or fig13')
    .option('--case <name>', 'only this case; may be repeated', collect, [])
    .option('--runs <n>', 'samples of each contestant, instead of as many as fit the time', whole(1))
    .option('--html <file>', 'write a report with charts')
    .option('--json', 'print one JSON object')
    .action(
      handle((terminal, name: string, flags: BenchFlags) =>
        benchCommand(name, flags, terminal, untilCtrlC()),
      ),
    );
}
