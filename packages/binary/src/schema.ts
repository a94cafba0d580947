import * as v from 'valibot';
import type { Program } from './program.ts';

/** Largest extent of any axis, and of a kernel, stride or padding. */
const maxExtent = 65536;
const maxOps = 4096;

const extent = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(maxExtent));
const value = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(maxOps));
const tensor = v.pipe(v.string(), v.minLength(1), v.maxLength(512));

const shape = v.object({ c: extent, h: extent, w: extent });
const padding = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(maxExtent));
const window = v.object({
  kernelH: extent,
  kernelW: extent,
  strideH: extent,
  strideW: extent,
  padH: padding,
  padW: padding,
});

const step = { input: value, output: value };

/** The JSON text of a program: its form only. Whether it makes sense is for `inferValues` to say. */
export const ProgramSchema: v.GenericSchema<unknown, Program> = v.object({
  input: v.object({ tensor, shape }),
  ops: v.pipe(
    v.array(
      v.variant('kind', [
        v.object({ kind: v.literal('convReal'), ...step, window, weights: tensor, channels: extent }),
        v.object({ kind: v.literal('maxPool'), ...step, window }),
        v.object({ kind: v.literal('add'), ...step, other: value }),
        v.object({ kind: v.literal('meanPool'), ...step }),
        v.object({ kind: v.literal('affine'), ...step, scale: tensor, bias: tensor, relu: v.boolean() }),
        v.object({
          kind: v.literal('binarize'),
          ...step,
          threshold: tensor,
          flip: v.exactOptional(tensor),
        }),
        v.object({ kind: v.literal('convBinary'), ...step, window, weights: tensor, channels: extent }),
        v.object({ kind: v.literal('denseBinary'), ...step, weights: tensor, channels: extent }),
        v.object({ kind: v.literal('denseReal'), ...step, weights: tensor, bias: tensor, channels: extent }),
      ]),
    ),
    v.maxLength(maxOps),
  ),
  outputs: v.pipe(
    v.array(
      v.object({
        tensor,
        value,
        dims: v.pipe(
          v.array(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 26))),
          v.maxLength(4),
        ),
      }),
    ),
    v.minLength(1),
    v.maxLength(maxOps),
  ),
});
