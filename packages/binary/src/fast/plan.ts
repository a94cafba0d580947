/**
 * Where everything of a program lies in one memory, and which kernels run in which order. Decided once per program;
 * nothing here touches memory, so its size can be told before anything is loaded.
 *
 *     reserved | records of kernels | weights and thresholds | arena | slack
 *
 * Weights are brought into the layout of the kernels once. In the arena activations share memory by how long they are
 * needed. A value that a padded convolution reads has a border of zeros, which are -1 to a binary convolution and 0 to
 * a real one, so that no kernel knows of padding; what lay there before is cleared just before the value is written.
 */
import { TierwiseError } from '@tierwise/core';
import { type DescriptorName, descriptorBytes, type Fields } from '../kernels/descriptors.ts';
import type { BitLayout, KernelTable } from '../kernels/kernels.ts';
import { reservedBytes, slackBytes } from '../kernels/layout.ts';
import { inputsOf, type LoadedProgram, type Op, type ProgramOutput } from '../program.ts';
import { align, placeSpans } from './arena.ts';
import { planInput, planOutput } from './ends.ts';
import { fuse, writtenBy } from './fuse.ts';
import { type Constant, type Place, Planner } from './planner.ts';
import { planStage } from './stages.ts';

/** More memory than a program may ask for, in bytes. */
const maxBytes = 2 ** 30;

/** Numbers of float32 at a byte address. */
export interface Stretch {
  readonly address: number;
  readonly length: number;
}

export type PlannedStep =
  | {
      readonly kind: 'kernel';
      readonly kernel: keyof KernelTable;
      readonly record: DescriptorName;
      readonly fields: Fields<DescriptorName>;
      /** Address of its record. */
      readonly address: number;
    }
  | { readonly kind: 'clear'; readonly from: number; readonly to: number };

/** What the kernels do, in order, in an arena that is laid out once: nothing is allocated in a run. */
export interface FastPlan {
  readonly steps: readonly PlannedStep[];
  readonly constants: readonly Constant[];
  /** Where a sample goes, as planes. */
  readonly input: Stretch;
  /** Where the outputs are after a run, as planes, in the order asked for. */
  readonly outputs: readonly Stretch[];
  /** Scratch memory for laying out weights. */
  readonly layAddress: number;
  /** Memory in all, and of that weights in the layout of the kernels, and activations. */
  readonly bytes: number;
  readonly weightBytes: number;
  readonly arenaBytes: number;
}

/**
 * Plans the part of a program that gives `outputs`.
 * @throws TierwiseError PROGRAM_CORRUPT when it needs more than 1 GiB
 */
export function planProgram(
  loaded: LoadedProgram,
  layout: BitLayout,
  outputs: readonly ProgramOutput[] = loaded.program.outputs,
): FastPlan {
  const ops = neededOps(loaded.program.ops, outputs);
  const kept = new Set(outputs.map(({ value }) => value));
  const planner = new Planner(loaded, ops, layout);
  const input = planInput(planner);
  const given = new Map<number, Place>();
  if (kept.has(0)) given.set(0, planOutput(planner, 0));
  for (const stage of fuse(loaded, ops, kept)) {
    planner.stage++;
    planStage(planner, stage, loaded.tensors);
    for (const value of writtenBy(stage)) {
      if (kept.has(value)) given.set(value, planOutput(planner, value));
    }
  }
  return assemble(
    planner,
    input,
    outputs.map(({ value }) => given.get(value)!),
  );
}

/** Gives everything its address. */
function assemble(planner: Planner, input: Place, outputs: readonly Place[]): FastPlan {
  let address = reservedBytes;
  const records = planner.steps.map((step) => {
    const at = address;
    if (step.kind === 'kernel') address += descriptorBytes(step.record);
    return at;
  });
  const weightsAt = align(address);
  address = weightsAt;
  for (const constant of planner.constants) {
    constant.address = address;
    address = align(address + constant.bytes);
  }
  const { addresses, end } = placeSpans(planner.blocks, address);
  planner.blocks.forEach((block, i) => {
    block.address = addresses[i]!;
  });
  const bytes = Math.max(end, address + planner.layBytes) + slackBytes;
  if (bytes > maxBytes) {
    throw new TierwiseError(
      'PROGRAM_CORRUPT',
      `the program needs ${bytes} bytes of memory, more than ${maxBytes}`,
    );
  }
  return {
    steps: planner.steps.map((step, i): PlannedStep => {
      if (step.kind === 'clear') {
        return { kind: 'clear', from: step.block.address, to: step.block.address + step.block.bytes };
      }
      const { kernel, record, fields } = step;
      return { kind: 'kernel', kernel, record, fields: fields(), address: records[i]! };
    }),
    constants: planner.constants,
    input: stretch(input),
    outputs: outputs.map(stretch),
    layAddress: address,
    bytes,
    weightBytes: address - weightsAt,
    arenaBytes: end - address,
  };
}

function stretch({ at, info: { shape } }: Place): Stretch {
  return { address: at(), length: shape.c * shape.h * shape.w };
}

/** The operations on the way to `outputs`, in their order. */
function neededOps(ops: readonly Op[], outputs: readonly ProgramOutput[]): Op[] {
  const needed = new Set(outputs.map(({ value }) => value));
  return ops
    .toReversed()
    .filter((op) => {
      const wanted = needed.has(op.output);
      if (wanted) for (const number of inputsOf(op)) needed.add(number);
      return wanted;
    })
    .reverse();
}
