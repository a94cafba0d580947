import type { Feature, Layers } from '../layers/layers.ts';
import type { BranchBlock } from './design.ts';
import type { BranchRecipe } from './recipe.ts';

/**
 * The branch of LcDNN: XNOR-Net's block order, batch norm -> sign -> convolution -> pool, with a real last layer and
 * neither ReLU after a binary convolution nor a factor of the input (XNOR-Net, ECCV 2016, authors' model file). Where a
 * shortcut cannot be the block's input as it is, it is a binary 1x1 convolution of the same signs. A block that the design
 * calls depthwise is a convolution of all channels like any other.
 */
export const xnor: BranchRecipe = (l, stem, classes, design) => {
  let x = stem;
  for (const [i, block] of design.blocks.entries()) x = blockOf(l, x, `branch.${i + 1}`, block);
  if (design.dense.length === 0) {
    x = l.globalAveragePool(l.relu(l.batchNorm(x, 'branch.norm')));
    return l.dense(x, 'branch.fc', classes);
  }
  for (const [i, units] of design.dense.entries()) {
    const signs = l.sign(l.batchNorm(x, `branch.dense${i + 1}.norm`));
    x = l.binaryDense(i === 0 ? l.flatten(signs) : signs, `branch.dense${i + 1}`, units, 'scaled');
  }
  return l.dense(l.relu(l.batchNorm(x, 'branch.norm')), 'branch.fc', classes);
};

function blockOf(l: Layers, input: Feature, name: string, block: BranchBlock): Feature {
  const { filters, kernel, stride, pad } = block;
  const signs = l.sign(l.batchNorm(input, `${name}.norm1`));
  let x = l.binaryConv(signs, `${name}.conv1`, { filters, kernel, stride, pad }, 'scaled');
  if (block.convs === 2)
    x = l.binaryConv(
      l.sign(l.batchNorm(x, `${name}.norm2`)),
      `${name}.conv2`,
      { filters, kernel, pad },
      'scaled',
    );
  if (block.shortcut) {
    const asItIs = stride === 1 && input.dims[1] === filters;
    x = l.add(
      x,
      asItIs ? input : l.binaryConv(signs, `${name}.shortcut`, { filters, kernel: 1, stride }, 'scaled'),
    );
  }
  return block.pool ? l.maxPool(x, 2) : x;
}
