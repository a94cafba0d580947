import { attrInt } from '../attributes.ts';
import { type Rule, unsupported } from './context.ts';
import { windowOf } from './window.ts';

/**
 * MaxPool sends each gradient to where the maximum was. The forward node is asked for its Indices output
 * (positions in the flattened input). Windows that do not overlap write each position at most once: MaxUnpool.
 * Overlapping ones need a sum per position, which MaxUnpool gets wrong: ScatterElements with reduction add.
 */
const maxPool: Rule = (c) => {
  const { b, node, dy } = c;
  const x = node.input[0]!;
  if (!c.wanted(x)) return;
  if (attrInt(node, 'storage_order', 0) !== 0) throw unsupported(c, 'without column-major indices');
  const { kernel, strides, dilations, before, after } = windowOf(c);
  if (node.output.length < 2) node.output.push(b.fresh(`${node.output[0]}.indices`));
  const indices = node.output[1]!;
  const dims = c.dims(x);
  const isApart = kernel.every((k, i) => k <= strides[i]! && dilations[i] === 1);
  if (isApart && [...before, ...after].every((p) => p <= 0)) {
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
