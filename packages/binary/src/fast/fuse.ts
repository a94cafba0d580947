import { mostTerms } from '../kernels/layout.ts';
import { inputsOf, type LoadedProgram, type Op } from '../program.ts';

type OpOf<K extends Op['kind']> = Extract<Op, { kind: K }>;

/**
 * Operations that one or two kernels do together. Values between them never exist.
 *   binary  sums, or bits of them; `pool` between sums and bits becomes an or of the bits (thresholds.ts)
 *   alone   any other operation
 *   blend   [affine] [add] [binarize]; `real` is the value to store when somebody else reads it
 */
export type Stage =
  | {
      readonly kind: 'binary';
      readonly op: OpOf<'convBinary' | 'denseBinary'>;
      readonly pool?: OpOf<'maxPool'> | undefined;
      readonly binarize?: OpOf<'binarize'> | undefined;
    }
  | {
      readonly kind: 'alone';
      readonly op: OpOf<'convReal' | 'denseReal' | 'maxPool' | 'depthwise' | 'meanPool'>;
    }
  | {
      readonly kind: 'blend';
      readonly input: number;
      readonly affine?: OpOf<'affine'> | undefined;
      readonly other?: number | undefined;
      readonly real?: number | undefined;
      readonly binarize?: OpOf<'binarize'> | undefined;
    };

/** Values that a stage writes. */
export function writtenBy(stage: Stage): readonly number[] {
  if (stage.kind === 'blend') {
    return [stage.real, stage.binarize?.output].filter((value) => value !== undefined);
  }
  return [stage.kind === 'binary' ? (stage.binarize ?? stage.op).output : stage.op.output];
}

/** Groups `ops`, in an order in which every stage finds what it reads. `kept` are values that must exist. */
export function fuse({ values }: LoadedProgram, ops: readonly Op[], kept: ReadonlySet<number>): Stage[] {
  const readers = new Map<number, Op[]>();
  for (const op of ops) {
    for (const value of inputsOf(op)) readers.set(value, [...(readers.get(value) ?? []), op]);
  }
  /** The operation that alone reads a value which nobody else wants. */
  const onlyReader = (value: number): Op | undefined => {
    const found = readers.get(value) ?? [];
    return found.length === 1 && !kept.has(value) ? found[0] : undefined;
  };
  const done = new Set<Op>();
  const stages: Stage[] = [];

  const binary = (op: OpOf<'convBinary' | 'denseBinary'>): Stage => {
    const { c, h, w } = values[op.input]!.shape;
    const terms = c * (op.kind === 'convBinary' ? op.window.kernelH * op.window.kernelW : h * w);
    const reader = onlyReader(op.output);
    const pool = reader?.kind === 'maxPool' ? reader : undefined;
    const binarize = pool ? onlyReader(pool.output) : reader;
    if (binarize?.kind !== 'binarize' || terms > mostTerms) return { kind: 'binary', op };
    if (pool) done.add(pool);
    done.add(binarize);
    return { kind: 'binary', op, pool, binarize };
  };

  /** With the first comparison of what it calculates; the value itself is stored if anybody else reads it. */
  const blend = (
    output: number,
    parts: { input: number; affine?: OpOf<'affine'>; other?: number },
  ): Stage => {
    const all = readers.get(output) ?? [];
    const binarize = all.find((op) => op.kind === 'binarize');
    if (binarize) done.add(binarize);
    const others = all.length - (binarize ? 1 : 0);
    return { kind: 'blend', ...parts, real: others > 0 || kept.has(output) ? output : undefined, binarize };
  };

  /** Batch norms that wait to be done together with the addition that reads them. */
  const waiting = new Map<Op, OpOf<'affine'>>();
  for (const op of ops) {
    if (done.has(op)) continue;
    switch (op.kind) {
      case 'convBinary':
      case 'denseBinary':
        stages.push(binary(op));
        break;
      case 'affine': {
        const reader = onlyReader(op.output);
        if (reader?.kind === 'add' && !waiting.has(reader)) waiting.set(reader, op);
        else stages.push(blend(op.output, { input: op.input, affine: op }));
        break;
      }
      case 'add': {
        const affine = waiting.get(op);
        if (!affine) stages.push(blend(op.output, { input: op.input, other: op.other }));
        else {
          const other = affine.output === op.input ? op.other : op.input;
          stages.push(blend(op.output, { input: affine.input, affine, other }));
        }
        break;
      }
      case 'binarize':
        stages.push({ kind: 'blend', input: op.input, binarize: op });
        break;
      default:
        stages.push({ kind: 'alone', op });
    }
  }
  return stages;
}
