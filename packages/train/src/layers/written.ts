import type { GraphBuilder, Value } from '@tierwise/graph';
import {
  type BinaryWeights,
  type ConvOptions,
  convAttributes,
  convDims,
  type Feature,
  windowed,
} from './layers.ts';

/** What layers for training and for inference write alike: everything but where numbers come from and when they are added. */
export abstract class WrittenLayers {
  protected readonly b: GraphBuilder;

  constructor(builder: GraphBuilder) {
    this.b = builder;
  }

  /** `x` with what is pending applied. */
  protected abstract settled(x: Feature): Value;

  /** +-1 in the form of a layer's weights, and the scale that becomes pending where they have one. */
  protected abstract binaryWeights(
    name: string,
    dims: readonly number[],
    kind: BinaryWeights,
  ): { readonly signs: Value } & Pick<Feature, 'factor' | 'scale'>;

  /** `weights`: those of the filters, then biases if there are any. */
  protected convolve(x: Feature, weights: readonly Value[], o: ConvOptions): Feature {
    const [stride, pad] = [o.stride ?? 1, o.pad ?? 0];
    const value = this.b.op('Conv', [x.value, ...weights], convAttributes(o));
    const side = (size: number) => windowed(size, o.kernel, stride, pad);
    return { value, dims: [x.dims[0]!, o.filters, side(x.dims[2]!), side(x.dims[3]!)] };
  }

  binaryConv(x: Feature, name: string, options: ConvOptions, kind: BinaryWeights): Feature {
    const { b } = this;
    const pad = options.pad ?? 0;
    const { signs, ...pending } = this.binaryWeights(name, convDims(x, options), kind);
    const value =
      pad === 0 ? x.value : b.op('Pad', [x.value, b.ints(0, 0, pad, pad, 0, 0, pad, pad), b.scalar(-1)]);
    const padded = { value, dims: [x.dims[0]!, x.dims[1]!, x.dims[2]! + 2 * pad, x.dims[3]! + 2 * pad] };
    return { ...this.convolve(padded, [signs], { ...options, pad: 0 }), ...pending };
  }

  binaryDense(x: Feature, name: string, units: number, kind: BinaryWeights): Feature {
    const { signs, ...pending } = this.binaryWeights(name, [units, x.dims[1]!], kind);
    return { value: this.b.gemm(x.value, signs, { transB: 1 }), dims: [x.dims[0]!, units], ...pending };
  }

  add(a: Feature, b: Feature): Feature {
    return { value: this.b.add(this.settled(a), this.settled(b)), dims: a.dims };
  }

  relu(x: Feature): Feature {
    return { value: this.b.relu(this.settled(x)), dims: x.dims };
  }

  relu6(x: Feature): Feature {
    const value = this.b.op('Clip', [this.settled(x), this.b.scalar(0), this.b.scalar(6)]);
    return { value, dims: x.dims };
  }

  maxPool(x: Feature, size: number): Feature {
    const value = this.b.op('MaxPool', [x.value], { kernel_shape: [size, size], strides: [size, size] });
    const side = (dim: number) => windowed(dim, size, size, 0);
    return { ...x, value, dims: [x.dims[0]!, x.dims[1]!, side(x.dims[2]!), side(x.dims[3]!)] };
  }

  sign(x: Feature): Feature {
    return { value: this.b.sign(x.value), dims: x.dims };
  }
}
