import type { DType, Tensor } from '@tierwise/core';

/**
 * The program of a device engine: a short straight-line list of operations over numbered values, one sample at
 * a time. It is data, not code: `file.ts` reads and writes it, `reference.ts` says what each operation means,
 * fast kernels must agree with that.
 *
 * Three kinds of value exist.
 *   real   float32 [c, h, w]        layout CHW
 *   bits   1 bit a channel [c, h, w] bit 1 is +1, bit 0 is -1; how they are packed is the implementation's own
 *   sums   int32 [c, h, w]          dot products of +-1 with +-1, sum = n - 2 * mismatches, or with int8
 * Dense layers read their input flattened in CHW order (as ONNX Flatten of NCHW) and give [n, 1, 1].
 *
 * Numeric contract, so that every implementation and onnxruntime agree bit for bit up to the first dense real
 * layer: `convReal` weights are small whole numbers (int16) and pixels are whole numbers 0..255 with
 * |sum| < 2^24, so a float32 sum is exact in any order; `affine` is one float32 multiply and then one float32
 * add, never fused; thresholds compare exactly.
 */

/** Shape of a value for one sample: channels, height, width. */
export interface Shape {
  readonly c: number;
  readonly h: number;
  readonly w: number;
}

/** Window of a convolution or pool. Padding is the same at opposite sides. */
export interface Window {
  readonly kernelH: number;
  readonly kernelW: number;
  readonly strideH: number;
  readonly strideW: number;
  readonly padH: number;
  readonly padW: number;
}

/** Names of tensors in the program's file. */
export type TensorRef = string;

/**
 * One operation. `input` and `output` number values; each value is written once, before it is read; value 0 is
 * the program's input (real) and operation i of the list writes value i + 1. A tensor belongs to one operation.
 * Weight layouts:
 *   convReal    weights [k, c, kernelH, kernelW] int16, float16 or float32; padding with 0
 *   convBinary  weights 1 bit each, order [k, kernelH, kernelW, c], dense bit stream, bit i of byte j is
 *               weight 8 j + i, 1 for +1 and 0 for -1, unused bits 0; padding with -1
 *   depthwise   weights [c, kernelH, kernelW] int8, one filter for each channel of bits; gives sums; padding with 0, so
 *               that a product beyond the border adds nothing: 1-bit weights would leave ten sums to a 3x3 window
 *   denseBinary weights 1 bit each, order [n, c, h, w] of the input, dense bit stream as above
 *   denseReal   weights [n, c*h*w] float32 or float16, or int8 with a `step` [n] float16 to multiply each row with;
 *               bias [n]; summed in float64, rounded to float32 once
 *   affine      y = x * scale[c] + bias[c], then max(y, 0) when relu; float32 (or float16 in the file)
 *   binarize    bit = x >= threshold[c]; threshold float32 for real input, int32 (or int16 in the file) for sums.
 *               With `flip` (uint8 [c]) 1 the bit is x <= threshold[c] instead, which a negative batch-norm scale
 *               needs. A bit that is always or never set has a threshold that no value reaches: infinite for
 *               reals, beyond n for sums.
 *   maxPool     padding never wins; of bits it is OR
 *   add         input + other, two reals of one shape, float32: the real-valued running sum of residual branches,
 *               which a `binarize` turns into bits again
 *   meanPool    mean of each channel's plane, [c, 1, 1]; summed in float64, rounded to float32 once
 */
export type Op =
  | {
      readonly kind: 'convReal';
      readonly input: number;
      readonly output: number;
      readonly window: Window;
      readonly weights: TensorRef;
      readonly channels: number;
    }
  | { readonly kind: 'maxPool'; readonly input: number; readonly output: number; readonly window: Window }
  | { readonly kind: 'add'; readonly input: number; readonly other: number; readonly output: number }
  | { readonly kind: 'meanPool'; readonly input: number; readonly output: number }
  | {
      readonly kind: 'affine';
      readonly input: number;
      readonly output: number;
      readonly scale: TensorRef;
      readonly bias: TensorRef;
      readonly relu: boolean;
    }
  | {
      readonly kind: 'binarize';
      readonly input: number;
      readonly output: number;
      readonly threshold: TensorRef;
      readonly flip?: TensorRef;
    }
  | {
      readonly kind: 'convBinary';
      readonly input: number;
      readonly output: number;
      readonly window: Window;
      readonly weights: TensorRef;
      readonly channels: number;
    }
  | {
      readonly kind: 'depthwise';
      readonly input: number;
      readonly output: number;
      readonly window: Window;
      readonly weights: TensorRef;
    }
  | {
      readonly kind: 'denseBinary';
      readonly input: number;
      readonly output: number;
      readonly weights: TensorRef;
      readonly channels: number;
    }
  | {
      readonly kind: 'denseReal';
      readonly input: number;
      readonly output: number;
      readonly weights: TensorRef;
      readonly step?: TensorRef;
      readonly bias: TensorRef;
      readonly channels: number;
    };

/** The values that an operation reads. */
export function inputsOf(op: Op): readonly number[] {
  return op.kind === 'add' ? [op.input, op.other] : [op.input];
}

/** A value that a runtime may ask for by the name of the graph tensor it stands for. */
export interface ProgramOutput {
  readonly tensor: string;
  readonly value: number;
  /** Dims of the graph tensor, batch 1: [1, c, h, w] or [1, n]. */
  readonly dims: readonly number[];
}

/** A network for the device: operations in order, each reading values that an earlier one wrote. */
export interface Program {
  readonly input: { readonly tensor: string; readonly shape: Shape };
  readonly ops: readonly Op[];
  readonly outputs: readonly ProgramOutput[];
}

/** What a value is: see the three kinds above. */
export interface ValueInfo {
  readonly kind: 'real' | 'bits' | 'sums';
  readonly shape: Shape;
}

/**
 * A program that has been checked and can be run. `tensors` hold what kernels work on: weights of `convReal` are
 * int16 or float32, those of `depthwise` int8, thresholds int32 or float32, bit streams and flips uint8, all else float32.
 */
export interface LoadedProgram {
  readonly program: Program;
  readonly tensors: ReadonlyMap<TensorRef, Tensor>;
  /** Kind and shape of value i. */
  readonly values: readonly ValueInfo[];
  /** Multiply-accumulates of operation i; for a pool its comparisons. */
  readonly macs: readonly number[];
  /** Tensors as the file holds them. */
  readonly stored: readonly StoredTensor[];
}

/** A weight as it lies in the file; `bytes` are those it takes there. */
export interface StoredTensor {
  readonly name: TensorRef;
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly bytes: number;
}
