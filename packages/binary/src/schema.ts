import * as v from 'valibot';

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
  strideH: v.optional(extent, 1),
  strideW: v.optional(extent, 1),
  padH: v.optional(padding, 0),
  padW: v.optional(padding, 0),
});

const step = { input: v.exactOptional(value), output: v.exactOptional(value) };
/** The name of a tensor, where it is not the usual one. */
const ref = v.exactOptional(tensor);

/** The JSON text of a program (text.ts): its form only, with what it may leave out. */
export const ProgramSchema = v.object({
  input: v.object({ tensor, shape }),
  ops: v.pipe(
    v.array(
      v.variant('kind', [
        v.object({ kind: v.literal('convReal'), ...step, window, weights: ref, channels: extent }),
        v.object({ kind: v.literal('maxPool'), ...step, window }),
        v.object({ kind: v.literal('add'), ...step, other: value }),
        v.object({ kind: v.literal('meanPool'), ...step }),
        v.object({
          kind: v.literal('affine'),
          ...step,
          scale: ref,
          bias: ref,
          relu: v.exactOptional(v.boolean()),
        }),
        v.object({
          kind: v.literal('binarize'),
          ...step,
          threshold: ref,
          flip: ref,
        }),
        v.object({ kind: v.literal('convBinary'), ...step, window, weights: ref, channels: extent }),
        v.object({ kind: v.literal('denseBinary'), ...step, weights: ref, channels: extent }),
        v.object({
          kind: v.literal('denseReal'),
          ...step,
          weights: ref,
          step: ref,
          bias: ref,
          channels: extent,
        }),
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
