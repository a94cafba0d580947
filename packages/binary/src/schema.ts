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

/** The name of a tensor, where it is not the usual one. */
const ref = s.optional(tensor);

const conv = { window, weights: ref, channels: extent };

/** One kind of operation and the fields that it has besides its numbers. */
const op = <const K extends string, F extends Parameters<typeof s.object>[0]>(kind: K, fields: F) =>
  s.object({ kind: s.oneOf(kind), input: s.optional(value), output: s.optional(value), ...fields });

/** The JSON text of a program (text.ts): its form only, with what it may leave out. */
export const ProgramSchema = s.object({
  input: s.object({ tensor, shape }),
  ops: s.array(
    s.variant(
      op('convReal', conv),
      op('maxPool', { window }),
      op('add', { other: value }),
      op('meanPool', {}),
      op('affine', { scale: ref, bias: ref, relu: s.optional(s.boolean()) }),
      op('binarize', { threshold: ref, flip: ref }),
      op('convBinary', conv),
      op('depthwise', { window, weights: ref }),
      op('denseBinary', { weights: ref, channels: extent }),
      op('denseReal', { weights: ref, step: ref, bias: ref, channels: extent }),
    ),
    { maxItems: maxOps },
  ),
  outputs: s.array(
    s.object({ tensor, value, dims: s.array(s.integer({ minimum: 1, maximum: 2 ** 26 }), { maxItems: 4 }) }),
    { minItems: 1, maxItems: maxOps },
  ),
});
