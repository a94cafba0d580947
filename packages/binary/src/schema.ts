import { schema as s } from '@tierwise/core';

/** Largest extent of any axis, and of a kernel, stride or padding. */
const maxExtent = 65536;
const maxOps = 4096;

const extent = s.integer({ minimum: 1, maximum: maxExtent });
const value = s.integer({ minimum: 0, maximum: maxOps });
const tensor = s.string({ minLength: 1, maxLength: 512 });

const shape = s.object({ c: extent, h: extent, w: extent });
const padding = s.integer({ minimum: 0, maximum: maxExtent });
const window = s.object({
  kernelH: extent,
  kernelW: extent,
  strideH: s.optional(extent, 1),
  strideW: s.optional(extent, 1),
  padH: s.optional(padding, 0),
  padW: s.optional(padding, 0),
});

const step = { input: s.optional(value), output: s.optional(value) };
/** The name of a tensor, where it is not the usual one. */
const ref = s.optional(tensor);

const conv = { ...step, window, weights: ref, channels: extent };

/** The JSON text of a program (text.ts): its form only, with what it may leave out. */
export const ProgramSchema = s.object({
  input: s.object({ tensor, shape }),
  ops: s.array(
    s.variant(
      s.object({ kind: s.oneOf('convReal'), ...conv }),
      s.object({ kind: s.oneOf('maxPool'), ...step, window }),
      s.object({ kind: s.oneOf('add'), ...step, other: value }),
      s.object({ kind: s.oneOf('meanPool'), ...step }),
      s.object({ kind: s.oneOf('affine'), ...step, scale: ref, bias: ref, relu: s.optional(s.boolean()) }),
      s.object({ kind: s.oneOf('binarize'), ...step, threshold: ref, flip: ref }),
      s.object({ kind: s.oneOf('convBinary'), ...conv }),
      s.object({ kind: s.oneOf('denseBinary'), ...step, weights: ref, channels: extent }),
      s.object({ kind: s.oneOf('denseReal'), ...step, weights: ref, step: ref, bias: ref, channels: extent }),
    ),
    { maxItems: maxOps },
  ),
  outputs: s.array(
    s.object({ tensor, value, dims: s.array(s.integer({ minimum: 1, maximum: 2 ** 26 }), { maxItems: 4 }) }),
    { minItems: 1, maxItems: maxOps },
  ),
});
