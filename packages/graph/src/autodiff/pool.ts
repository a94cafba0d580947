import { TierwiseError } from '@tierwise/core';
import { attrInt, attrInts, attrString } from '../attributes.ts';
import type { Rule } from './context.ts';

/**
 * MaxPool sends each gradient to where the maximum was. The forward node is asked for its Indices output
 * (positions in the flattened input). Windows that do not overlap write each position at most once: MaxUnpool.
 * Overlapping ones need a sum per position, which MaxUnpool gets wrong: ScatterElements with reduction add.
 */
const maxPool: Rule = (c) => {
  const { b, node, dy } = c;
  const x = node.input[0]!;
  if (!c.wanted(x)) return;
  const kernel = attrInts(node, 'kernel_shape')!;
  const strides = attrInts(node, 'strides') ?? kernel.map(() => 1);
  const pads = attrInts(node, 'pads') ?? kernel.flatMap(() => [0, 0]);
  if (
    attrInt(node, 'storage_order', 0) !== 0 ||
    attrString(node, 'auto_pad', 'NOTSET') !== 'NOTSET' ||
    (attrInts(node, 'dilations') ?? []).some((d) => d !== 1)
  )
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `${node.name}: MaxPool can be differentiated without dilation, auto_pad and column-major indices`,
      { node: node.name },
    );
  if (node.output.length < 2) node.output.push(b.fresh(`${node.output[0]}.indices`));
  const indices = node.output[1]!;
  const dims = c.dims(x);
  const overlapping = kernel.some((k, i) => k > strides[i]!);
  if (!overlapping && pads.every((p) => p === 0)) {
    c.give(x, b.op('MaxUnpool', [dy, indices, b.ints(...dims)], { kernel_shape: kernel, strides }));
    return;
  }
  const elements = dims.reduce((product, dim) => product * dim, 1);
  const flat = b.op(
    'ScatterElements',
    [b.op('Expand', [b.scalar(0), b.ints(elements)]), b.reshape(indices, [-1]), b.reshape(dy, [-1])],
    { axis: 0, reduction: 'add' },
  );
  c.give(x, b.reshape(flat, dims));
};

export const pool: Readonly<Record<string, Rule>> = { MaxPool: maxPool };
