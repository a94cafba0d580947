import type { Feature, Layers } from '../layers/layers.ts';
import { plainBlock } from '../recipes/design.ts';
import { type Network, sgdTraining } from './network.ts';

/** Inverted residual blocks of each stage: expansion, filters, how many, stride of the first. */
const stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 1],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

const stemFilters = 32;
const lastFilters = 1280;

interface Block {
  readonly name: string;
  readonly expansion: number;
  readonly filters: number;
  readonly stride: 1 | 2;
}

/** `filters` times `width` as the authors' code rounds it: to a multiple of 8, never below 0.9 times what it should be. */
function scaled(filters: number, width: number): number {
  const wanted = filters * width;
  const rounded = Math.max(8, Math.floor((wanted + 4) / 8) * 8);
  return rounded < 0.9 * wanted ? rounded + 8 : rounded;
}

/** Calls `block` for each of the seventeen blocks; `stride` is 2 where the map is halved. */
function walk(x: Feature, width: number, block: (x: Feature, block: Block) => Feature): Feature {
  let y = x;
  for (const [stage, [expansion, filters, count, stride]] of stages.entries())
    for (let part = 1; part <= count; part++) {
      const name = `${stage + 1}.${part}`;
      y = block(y, { name, expansion, filters: scaled(filters, width), stride: part === 1 ? stride : 1 });
    }
  return y;
}

function main(l: Layers, stem: Feature, classes: number, width: number): Feature {
  const blocks = walk(stem, width, (input, { name: number, expansion, filters, stride }) => {
    const name = `main.${number}`;
    const wide = input.dims[1]! * expansion;
    let y = l.conv(input, `${name}.expand`, { filters: wide, kernel: 1 });
    y = l.conv(l.relu6(l.batchNorm(y, `${name}.norm1`)), `${name}.depthwise`, {
      filters: wide,
      groups: wide,
      kernel: 3,
      stride,
      pad: 1,
    });
    y = l.conv(l.relu6(l.batchNorm(y, `${name}.norm2`)), `${name}.project`, { filters, kernel: 1 });
    y = l.batchNorm(y, `${name}.norm3`);
    if (stride === 2) return y;
    if (input.dims[1] === filters) return l.add(y, input);
    const shortcut = l.conv(input, `${name}.shortcut`, { filters, kernel: 1 });
    return l.add(y, l.batchNorm(shortcut, `${name}.norm4`));
  });
  const last = l.conv(blocks, 'main.last', { filters: scaled(lastFilters, Math.max(1, width)), kernel: 1 });
  return l.dense(l.globalAveragePool(l.relu6(l.batchNorm(last, 'main.norm'))), 'main.fc', classes);
}

/**
 * MobileNetV2 (Sandler et al., CVPR 2018) for small pictures in the form that is common for CIFAR: at width 1 2,296,922
 * parameters for 10 classes. The stem and the second stage keep the map at 32 x 32, so that the last map is 4 x 4;
 * every block has its expansion, the first too (1 times); a block with stride 1 always has a shortcut, a 1x1
 * convolution with batch norm where the filters change. That form has ReLU throughout; here the main network has the
 * paper's ReLU6, and the stem ReLU, which the device runs. `width` multiplies all filters but, below 1, the last ones
 * (the paper's section 6.1).
 *
 * The branch has one ordinary 3x3 binary convolution for each block, from the block's filters to the next ones without an
 * expansion, as ReActNet has (ECCV 2020), and the last 1x1 in binary too; shortcuts go around. Of one bit, depthwise
 * layers would collapse: nine +-1 products of one channel have ten possible sums. In 8 bits they do not, but learn far
 * slower (`depthwiseDesign` says how much).
 */
export function mobilenetV2(name: string, width: number, input: Network['input']): Network {
  return {
    name,
    input,
    stem(l, pixels) {
      const filters = scaled(stemFilters, width);
      const first = l.pixelConv(pixels, 'stem.conv', { filters, kernel: 3, pad: 1 });
      return l.relu(l.batchNorm(first, 'stem.norm'));
    },
    main: (l, stem, classes) => main(l, stem, classes, width),
    mirror: {
      blocks: [
        ...stages.flatMap(([, filters, count, stride]) =>
          Array.from({ length: count }, (_, part) => ({
            ...plainBlock,
            filters: scaled(filters, width),
            stride: part === 0 ? stride : (1 as const),
            shortcut: true,
          })),
        ),
        { ...plainBlock, filters: scaled(lastFilters, Math.max(1, width)), kernel: 1, pad: 0 },
      ],
      dense: [],
    },
    training: sgdTraining,
  };
}
