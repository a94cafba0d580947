import { writeProgram } from '@tierwise/binary';
import { elementCount, random, type Tensor, tensor } from '@tierwise/core';
import { GraphBuilder, writeOnnx } from '@tierwise/graph';

/** One layer, as the engine runs it and as its rivals do. */
export interface LayerCase {
  readonly name: string;
  readonly kind: 'conv' | 'dense' | 'stem';
  readonly inputs: number;
  readonly outputs: number;
  /** Height and width of input and output; 1 for a dense layer. */
  readonly side: number;
}

const conv = (channels: number, side: number): LayerCase => ({
  name: `conv3x3-${channels}@${side}`,
  kind: 'conv',
  inputs: channels,
  outputs: channels,
  side,
});

/** The layers of a ResNet-18 for 32 x 32 pictures, each of 37.7 million multiply-accumulates, and the two ends. */
export const layerCases: readonly LayerCase[] = [
  conv(64, 32),
  conv(128, 16),
  conv(256, 8),
  conv(512, 4),
  { name: 'fc-4096', kind: 'dense', inputs: 4096, outputs: 4096, side: 1 },
  { name: 'stem-3x64@32', kind: 'stem', inputs: 3, outputs: 64, side: 32 },
];

/** Multiply-accumulates of one run; the border counts as if it were there, as everywhere in the literature. */
export function macsOf({ kind, inputs, outputs, side }: LayerCase): number {
  return inputs * outputs * side * side * (kind === 'dense' ? 1 : 9);
}

/** How often one call of the bound goes round, and the multiply-accumulates of that: see assembly/bound.ts. */
export const boundRounds = 25_000;
export const boundMacs = boundRounds * 8 * 128;

const window = { kernelH: 3, kernelW: 3, strideH: 1, strideW: 1, padH: 1, padW: 1 };

/**
 * The layer as a program: binary layers take bits and give bits, thresholded and packed; the stem takes reals and
 * gives reals. Weights and thresholds are random.
 */
export function layerProgram({ kind, inputs, outputs, side }: LayerCase): Uint8Array {
  const stream = random(1);
  const taps = inputs * (kind === 'dense' ? 1 : 9);
  const shape = { c: inputs, h: side, w: side };
  const outDims = [1, outputs, side, side];
  if (kind === 'stem') {
    const weights = Int16Array.from({ length: outputs * taps }, () => stream.below(401) - 200);
    return writeProgram(
      {
        input: { tensor: 'x', shape },
        ops: [{ kind: 'convReal', input: 0, output: 1, window, weights: 'w', channels: outputs }],
        outputs: [{ tensor: 'y', value: 1, dims: outDims }],
      },
      new Map([['w', tensor('int16', [outputs, inputs, 3, 3], weights)]]),
    );
  }
  const signs = Uint8Array.from({ length: (outputs * taps) / 8 }, () => stream.below(256));
  const limits = Int32Array.from({ length: outputs }, () => stream.below(21) - 10);
  const layer = { input: 1, output: 2, weights: 'w', channels: outputs } as const;
  return writeProgram(
    {
      input: { tensor: 'x', shape },
      ops: [
        { kind: 'binarize', input: 0, output: 1, threshold: 't0' },
        kind === 'conv' ? { kind: 'convBinary', ...layer, window } : { kind: 'denseBinary', ...layer },
        { kind: 'binarize', input: 2, output: 3, threshold: 't1' },
      ],
      outputs: [{ tensor: 'y', value: 3, dims: outDims }],
    },
    new Map<string, Tensor>([
      ['t0', tensor('float32', [inputs], new Float32Array(inputs))],
      ['w', tensor('uint8', [signs.length], signs)],
      ['t1', tensor('int32', [outputs], limits)],
    ]),
  );
}

/** The layer in float32 as an ONNX graph of one operator. */
export function layerOnnx({ kind, inputs, outputs, side }: LayerCase): Uint8Array {
  const stream = random(2);
  const weights = (dims: readonly number[]) =>
    tensor(
      'float32',
      dims,
      Float32Array.from({ length: elementCount(dims) }, () => stream.uniform() - 0.5),
    );
  const b = new GraphBuilder('layer');
  if (kind === 'dense') {
    const x = b.input('x', 'float32', [1, inputs]);
    const w = b.initializer('w', weights([inputs, outputs]));
    b.output(b.gemm(x, w, { c: b.initializer('b', weights([outputs])) }), 'float32', [1, outputs], 'y');
  } else {
    const x = b.input('x', 'float32', [1, inputs, side, side]);
    const w = b.initializer('w', weights([outputs, inputs, 3, 3]));
    const y = b.op('Conv', [x, w, b.initializer('b', weights([outputs]))], {
      kernel_shape: [3, 3],
      pads: [1, 1, 1, 1],
      strides: [1, 1],
    });
    b.output(y, 'float32', [1, outputs, side, side], 'y');
  }
  return writeOnnx(b.model);
}
