import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TierwiseError } from '@tierwise/core';
import { split, summarize, writeOnnx } from '@tierwise/graph';
import type { Command } from 'commander';
import { readModel, withFile } from '../files.ts';
import { handle } from '../handle.ts';
import { bytesText, type Terminal, table } from '../terminal.ts';
import { collect } from '../values.ts';

interface CutFlags {
  readonly at: readonly string[];
  readonly output: string;
}

/** `tierwise cut`: two valid ONNX files, what comes before some tensors and what comes after them. */
async function cutCommand(file: string, flags: CutFlags, terminal: Terminal): Promise<void> {
  if (flags.at.length === 0)
    throw new TierwiseError(
      'USAGE',
      'give --at a tensor that crosses the cut; `tierwise inspect` lists them',
    );
  const { model: whole } = await readModel(file);
  const { head, tail } = split(whole, flags.at);
  await withFile(flags.output, 'made', mkdir(flags.output, { recursive: true }));
  const pieces = await Promise.all(
    Object.entries({ head, tail }).map(async ([name, model]) => {
      const path = join(flags.output, `${name}.onnx`);
      const written = writeOnnx(model);
      await withFile(path, 'written', writeFile(path, written));
      const { inputs, outputs, nodes, totals } = summarize(model);
      return { path, bytes: written.length, inputs, outputs, nodes: nodes.length, flops: totals.flops };
    }),
  );
  terminal.result({ at: flags.at, pieces }, () =>
    table([
      ['piece', 'size', 'nodes', 'FLOPs', 'takes', 'gives'],
      ...pieces.map((p) => [
        p.path,
        bytesText(p.bytes),
        p.nodes,
        p.flops,
        ...[p.inputs, p.outputs].map((ports) =>
          ports.map(({ name, dims }) => `${name} [${dims.join(', ')}]`).join(', '),
        ),
      ]),
    ]),
  );
}

/** Adds `tierwise cut` and its options. */
export function addCut(program: Command): void {
  program
    .command('cut')
    .description('cut an ONNX file into two valid ones')
    .argument('<file>', 'FILE.onnx')
    .option(
      '--at <tensor>',
      'a tensor that crosses the cut (`tierwise inspect` lists them); may be repeated',
      collect,
      [],
    )
    .requiredOption('-o, --output <folder>', 'where head.onnx and tail.onnx are written')
    .option('--json', 'print one JSON object')
    .action(handle((terminal, file: string, flags: CutFlags) => cutCommand(file, flags, terminal)));
}
