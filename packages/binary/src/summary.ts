import { bitBytes } from './bits.ts';
import { planProgram } from './fast/plan.ts';
import { sizeOf } from './infer.ts';
import { simdLayout } from './kernels/layout.ts';
import type { LoadedProgram, Op, Shape, StoredTensor, ValueInfo } from './program.ts';

/** What a program consists of and costs per sample, for people and for cost models. */
export interface ProgramSummary {
  readonly input: { readonly tensor: string; readonly shape: Shape };
  readonly ops: readonly {
    readonly kind: Op['kind'];
    readonly input: number;
    readonly output: number;
    /** Kind, shape and bytes of what the operation writes. */
    readonly value: ValueInfo['kind'];
    readonly shape: Shape;
    readonly activationBytes: number;
    readonly macs: number;
  }[];
  readonly outputs: readonly { readonly tensor: string; readonly dims: readonly number[] }[];
  readonly tensors: readonly StoredTensor[];
  readonly weightBytes: number;
  /** Multiply-accumulates of +-1 values, and of others (comparisons of pools not counted). */
  readonly binaryMacs: number;
  readonly realMacs: number;
  /** Bytes of all values together when each has its own memory, bits packed. */
  readonly activationBytes: number;
  /** What the SIMD kernels take to run it: memory in all, and in it weights as they want them, and activations. */
  readonly memory: { readonly bytes: number; readonly weightBytes: number; readonly arenaBytes: number };
}

/** What `inspect` shows of a program: its operations, their work and what they take in the file. */
export function programSummary(loaded: LoadedProgram): ProgramSummary {
  const { program, values, macs, stored } = loaded;
  const ops = program.ops.map(({ kind, input, output }, index) => {
    const value = values[output]!;
    return {
      kind,
      input,
      output,
      value: value.kind,
      shape: value.shape,
      activationBytes: activationBytes(value),
      macs: macs[index]!,
    };
  });
  const { bytes, weightBytes, arenaBytes } = planProgram(loaded, simdLayout);
  const macsOf = (...kinds: readonly Op['kind'][]) =>
    ops.reduce((sum, op) => sum + (kinds.includes(op.kind) ? op.macs : 0), 0);
  return {
    input: program.input,
    ops,
    outputs: program.outputs.map(({ tensor, dims }) => ({ tensor, dims })),
    tensors: stored,
    weightBytes: stored.reduce((sum, tensor) => sum + tensor.bytes, 0),
    binaryMacs: macsOf('convBinary', 'denseBinary'),
    realMacs: macsOf('convReal', 'denseReal', 'affine', 'depthwise'),
    activationBytes: values.reduce((sum, value) => sum + activationBytes(value), 0),
    memory: { bytes, weightBytes, arenaBytes },
  };
}

function activationBytes({ kind, shape }: ValueInfo): number {
  return kind === 'bits' ? bitBytes(sizeOf(shape)) : 4 * sizeOf(shape);
}
