import { type Feature, type Layers, windowed } from '../layers/layers.ts';
import type { BranchBlock } from './design.ts';
import type { BranchRecipe } from './recipe.ts';

/** Thresholds of the signs that stand for a real value where a shortcut has to change its channels. */
const levels = [-0.5, 0.5];

/**
 * What binary networks have learned since XNOR-Net, in the operations that the device's engine has: a real-valued
 * shortcut around every binary convolution (Bi-Real Net, ECCV 2018), a learned threshold for each channel before each
 * sign (ReActNet's RSign, ECCV 2020), and balanced weights (IR-Net, CVPR 2020). Between two convolutions there is a
 * running sum of reals, and each sign looks at it anew.
 *
 * Where filters or size change, the shortcut is a sum of binary 1x1 convolutions, one for each of two thresholds: a
 * real one would take a fifth of all bytes, and its sums would depend on their order. PReLU is left out: the engine
 * would need an operation more. A block that the design calls depthwise is two such convolutions, one of each channel by
 * itself in 8 bits and a binary 1x1 one of all (MobileNet, 2017): of one bit, depthwise convolutions collapse to ten sums
 * for nine products. `shortcut` of the design has no say: there is one wherever the sizes allow it, save around a 1x1
 * convolution of such a block that changes the channels.
 */
export const modern: BranchRecipe = (l, stem, classes, design) => {
  // The stem ends in a ReLU, so that without a norm every sign would be +1 at first.
  let x = l.batchNorm(stem, 'branch.norm0');
  for (const [i, block] of design.blocks.entries())
    for (let j = 1; j <= block.convs; j++) {
      const isLast = j === block.convs;
      const write = block.depthwise ? separable : convolution;
      x = write(l, x, `branch.${i + 1}.conv${j}`, {
        ...block,
        stride: j === 1 ? block.stride : 1,
        pool: block.pool && isLast,
      });
    }
  for (const [i, units] of design.dense.entries()) {
    const signs = l.sign(l.shift(x, `branch.dense${i + 1}.shift`, 0));
    const y = l.binaryDense(i === 0 ? l.flatten(signs) : signs, `branch.dense${i + 1}`, units, 'balanced');
    const isLast = i === design.dense.length - 1;
    x = isLast ? y : l.batchNorm(y, `branch.dense${i + 1}.norm`);
  }
  x = l.relu(l.batchNorm(x, 'branch.norm'));
  return l.dense(design.dense.length === 0 ? l.globalAveragePool(x) : x, 'branch.fc', classes);
};

/**
 * A depthwise convolution with a shortcut, and a binary 1x1 one with a shortcut where it keeps the number of channels:
 * binary 1x1 convolutions around it, where it does not, would be as large as itself.
 */
function separable(l: Layers, x: Feature, name: string, block: BranchBlock): Feature {
  const each = { ...block, filters: x.dims[1]!, pool: false };
  const y = convolution(l, x, `${name}.depthwise`, each);
  return convolution(l, y, name, { ...block, kernel: 1, stride: 1, pad: 0, depthwise: false }, []);
}

/** `around` are the thresholds of a shortcut that has to change its channels; with none there is no such shortcut. */
function convolution(
  l: Layers,
  x: Feature,
  name: string,
  block: BranchBlock,
  around: readonly number[] = levels,
): Feature {
  const { filters, kernel, stride, pad, pool } = block;
  // All signs come before all norms: what follows the last sign of a branch is kept in float16.
  const signs = l.sign(l.shift(x, `${name}.shift`, 0));
  const parts = shortcut(l, x, name, block, around);
  const sums = block.depthwise
    ? l.depthwise(signs, name, { kernel, stride, pad })
    : l.binaryConv(signs, name, { filters, kernel, stride, pad }, 'balanced');
  const y = l.batchNorm(pool ? l.maxPool(sums, 2) : sums, `${name}.norm`);
  return parts.reduce((sum, part) => l.add(sum, part()), y);
}

/**
 * What is added to the block's convolution: the input in the shape of its output, in one part or, where its channels
 * change, in one for each threshold; none where the output's map is neither as large nor half as large.
 */
function shortcut(
  l: Layers,
  x: Feature,
  name: string,
  block: BranchBlock,
  around: readonly number[],
): (() => Feature)[] {
  const { filters, kernel, stride, pad, pool } = block;
  const side = (size: number) => Math.floor(windowed(size, kernel, stride, pad) / (pool ? 2 : 1));
  const fits = (times: number) => [2, 3].every((axis) => x.dims[axis] === times * side(x.dims[axis]!));
  if (!fits(1) && !fits(2)) return [];
  const sized = fits(1) ? x : l.maxPool(x, 2);
  if (x.dims[1] === filters) return [() => sized];
  return around.map((start, i) => {
    const part = `${name}.shortcut${i + 1}`;
    const signs = l.sign(l.shift(sized, `${part}.shift`, start));
    return () => l.batchNorm(l.binaryConv(signs, part, { filters, kernel: 1 }, 'balanced'), `${part}.norm`);
  });
}
