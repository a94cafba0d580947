import { stat } from 'node:fs/promises';
import { programSummary, readProgram } from '@tierwise/binary';
import { type ModelSummary, toTierwiseError } from '@tierwise/core';
import { readBundle } from '@tierwise/edge';
import { findStem, readOnnx, summarize } from '@tierwise/graph';
import type { Artifact, Manifest } from '@tierwise/plan';
import { trainingFacts, wilson } from '@tierwise/train';
import type { Command } from 'commander';
import { readBytes, readModel, withFile } from '../files.ts';
import { handle } from '../handle.ts';
import { bytesText, percent, type Terminal, table } from '../terminal.ts';
import { collectDim } from '../values.ts';
import { shareText } from './eval.ts';

interface InspectFlags {
  /** `name=size` for dimensions that the file leaves open. */
  readonly dim: Readonly<Record<string, number>>;
}

/** `tierwise inspect`: what is in an ONNX file, a branch program or a bundle. */
async function inspectCommand(path: string, flags: InspectFlags, terminal: Terminal): Promise<void> {
  const found = await withFile(path, 'read', stat(path));
  if (found.isDirectory()) return inspectBundle(path, terminal);
  if (path.endsWith('.safetensors')) return inspectProgram(path, await readBytes(path), terminal);
  return inspectOnnx(path, flags, terminal);
}

async function inspectOnnx(path: string, flags: InspectFlags, terminal: Terminal): Promise<void> {
  const { model, bytes } = await readModel(path);
  const summary = summarize(model, { dims: flags.dim });
  let stem: string | undefined;
  try {
    stem = findStem(model, { dims: flags.dim });
  } catch (error) {
    terminal.note(`no stem: ${toTierwiseError(error).message}`);
  }
  terminal.result({ file: path, bytes: bytes.length, ...summary, stem }, () =>
    onnxText(path, bytes.length, summary, stem),
  );
}

function onnxText(path: string, bytes: number, summary: ModelSummary, stem: string | undefined): string {
  const shape = (name: string) => summary.tensors.find((t) => t.name === name)?.dims.join('x') ?? '';
  const port = (t: { name: string; dims: readonly number[] }) => `${t.name} [${t.dims.join(', ')}]`;
  return [
    `${path}: ${bytesText(bytes)}, ${summary.nodes.length} nodes, ${summary.totals.flops.toLocaleString('en')} FLOPs, ${bytesText(summary.totals.parameterBytes)} of weights`,
    `from ${summary.inputs.map(port).join(', ')} to ${summary.outputs.map(port).join(', ')}`,
    '',
    table([
      ['op', 'node', 'output', 'FLOPs', 'weights'],
      ...summary.nodes.map((n) => [
        n.op,
        n.name,
        shape(n.outputs[0] ?? ''),
        n.flops,
        bytesText(n.parameterBytes),
      ]),
    ]),
    '',
    `${summary.cuts.length} places to cut (one tensor crosses)${stem === undefined ? '' : `; a branch would leave after "${stem}"`}`,
    table([
      ['tensor', 'bytes', 'FLOPs before', 'FLOPs after'],
      ...summary.cuts.map((c) => [c.tensor, c.bytes, c.flopsBefore, c.flopsAfter]),
    ]),
  ].join('\n');
}

function inspectProgram(path: string, bytes: Uint8Array, terminal: Terminal): void {
  terminal.result({ file: path, bytes: bytes.length, ...programSummary(readProgram(bytes, path)) }, (s) =>
    programText(path, s),
  );
}

function programText(path: string, s: ReturnType<typeof programSummary> & { bytes: number }): string {
  return [
    `${path}: ${bytesText(s.bytes)} (weights ${bytesText(s.weightBytes)}), ${s.binaryMacs.toLocaleString('en')} binary and ${s.realMacs.toLocaleString('en')} other multiply-adds; runs in ${bytesText(s.memory.bytes)} of memory, ${bytesText(s.memory.arenaBytes)} of it activations`,
    table([
      ['op', 'gives', 'shape', 'bytes', 'MACs'],
      ...s.ops.map((op) => [
        op.kind,
        op.value,
        `${op.shape.c}x${op.shape.h}x${op.shape.w}`,
        op.activationBytes,
        op.macs,
      ]),
    ]),
    table([
      ['tensor', 'stored as', 'bytes'],
      ...s.tensors.map((t) => [t.name, `${t.dtype} [${t.dims.join(', ')}]`, t.bytes]),
    ]),
  ].join('\n');
}

async function inspectBundle(path: string, terminal: Terminal): Promise<void> {
  const { manifest, artifacts } = await readBundle(path);
  const bytesOf = (wanted: Artifact) => artifacts.find(({ artifact }) => artifact === wanted)!.bytes;
  const program = programSummary(
    readProgram(bytesOf(manifest.branch.artifact), manifest.branch.artifact.file),
  );
  const main = summarize(readOnnx(bytesOf(manifest.main.artifact), manifest.main.artifact.file));
  const { measured, exit, rejection, codec, branch, provenance } = manifest;
  const trained = trainingFacts(provenance?.['settings']);
  terminal.result({ bundle: path, manifest, program, main: main.totals }, () =>
    [
      `${manifest.name}: ${manifest.labels.length} classes, input ${manifest.input.dims.join('x')}, cut at "${manifest.stem.tensor}" ${manifest.stem.dims.join('x')}`,
      preprocessText(manifest.preprocess),
      ...backboneText(provenance?.['backbone']),
      `branch ${bytesText(branch.artifact.bytes)}, main ${bytesText(manifest.main.artifact.bytes)}`,
      `exits ${exit.kind === 'entropy' ? `below an entropy of ${exit.threshold.toPrecision(4)}` : 'always'}; sends the stem ${codec.kind === 'raw' ? 'as float32' : `in ${codec.bits} bits over ${codec.lo === 0 ? 0 : codec.lo.toPrecision(4)} to ${codec.hi.toPrecision(4)}`}`,
      rejection === undefined
        ? 'rejects nothing: it has no threshold for pictures that are none of these'
        : `none of these: pictures below an energy of ${rejection.energy.toPrecision(4)}, as ${percent(rejection.knownRejected)} of the held-back samples are`,
      `FLOPs: stem ${manifest.flops.stem.toLocaleString('en')}, branch ${manifest.flops.branch.toLocaleString('en')}, rest ${manifest.flops.rest.toLocaleString('en')}`,
      measured === undefined
        ? 'not measured'
        : `measured on ${measured.samples.toLocaleString('en')} test samples of ${measured.data}, in brackets the 95 % interval: ${(
            [
              ['main', measured.mainAccuracy],
              ['branch', measured.branchAccuracy],
              ['composite', measured.compositeAccuracy],
              ['exits', measured.exitRate],
            ] as const
          )
            .map(([name, share]) => `${name} ${shareText(share, wilson(share, measured.samples))}`)
            .join(', ')}`,
      trained === undefined
        ? 'its provenance does not say how it was trained'
        : `trained on ${trained.samples.toLocaleString('en')} samples, epochs: ${trained.phases}`,
      `manifest of format ${manifest.format}, described by docs/manifest.schema.json`,
      '',
      programText(manifest.branch.artifact.file, { ...program, bytes: branch.artifact.bytes }),
    ].join('\n'),
  );
}

function preprocessText({ channels, height, width, scale, mean, std }: Manifest['preprocess']): string {
  const pixels = channels === 1 ? 'grey' : 'RGB';
  const factor = scale === 1 / 255 ? '1/255' : String(scale);
  const values = (list: readonly number[]) => (list.length === 1 ? `${list[0]}` : `[${list.join(', ')}]`);
  return `pictures become ${height} x ${width} ${pixels} (height x width), pixels (p * ${factor} - ${values(mean)}) / ${values(std)}`;
}

/** What `tierwise attach` noted of the network that the branch was attached to. */
function backboneText(backbone: unknown): string[] {
  if (typeof backbone !== 'object' || backbone === null) return [];
  const { file, notes } = backbone as { readonly file?: unknown; readonly notes?: unknown };
  return [`main network from ${file}`, ...(Array.isArray(notes) ? notes.map((note) => `  ${note}`) : [])];
}

/** Adds `tierwise inspect` and its options. */
export function addInspect(program: Command): void {
  program
    .command('inspect')
    .description('say what is in an ONNX file, a branch program or a bundle')
    .argument('<file>', 'FILE.onnx, FILE.safetensors or NAME.tierwise')
    .option(
      '--dim <name=size>',
      'size of a dimension that the file leaves open; may be repeated',
      collectDim,
      {},
    )
    .option('--json', 'print one JSON object')
    .action(
      handle((terminal, file: string, flags: { dim: Record<string, number> }) =>
        inspectCommand(file, flags, terminal),
      ),
    );
}
