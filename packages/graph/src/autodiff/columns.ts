import type { GraphBuilder, Value } from '../builder.ts';
import type { Window } from './window.ts';

/**
 * For each offset of the kernel, row by row, what the windows read there of `x`, the convolution's input in some order of
 * its axes: `rank` of them, `height` the place of h, with w after it.
 */
export function offsets(
  b: GraphBuilder,
  g: Window,
  x: Value,
  { rank, height }: { readonly rank: 4 | 5; readonly height: 1 | 2 },
): Value[] {
  const [kh, kw] = g.kernel;
  const [sh, sw] = g.strides;
  const [dh, dw] = g.dilations;
  const [, , oh, ow] = g.y as [number, number, number, number];
  const around = (pair: readonly number[]) => [
    ...new Array<number>(height).fill(0),
    ...pair,
    ...new Array<number>(rank - height - 2).fill(0),
  ];
  const pads = [...around(g.before), ...around(g.after.map((p) => Math.max(0, p)))];
  const padded = pads.some((p) => p > 0) ? b.op('Pad', [x, b.ints(...pads)]) : x;
  return Array.from({ length: kh * kw }, (_, at) => {
    const [i, j] = [Math.floor(at / kw) * dh, (at % kw) * dw];
    return b.slice(padded, {
      starts: [i, j],
      ends: [i + (oh - 1) * sh + 1, j + (ow - 1) * sw + 1],
      axes: [height, height + 1],
      steps: [sh, sw],
    });
  });
}

/** Most places of an output map for which one product over the batch is taken. */
const mostPlaces = 36;
/** Least channels and filters: with fewer of them the copies cost more than the product saves. */
const leastChannels = 64;

/**
 * Whether a convolution of one group is faster as one matrix product over the whole batch: onnxruntime multiplies the
 * weights with one picture after the other, and with few places a picture the weights are all that it reads. Measured with
 * 128 pictures on two cores, 512 channels: 4x4 places 68 ms as Conv, 97 as ConvTranspose and 29 as a product, 2x2 places
 * 46, 88 and 8, the copies before and after it not counted; with them whole steps were slower from 64 places on.
 */
export function isSmallMap(g: Window, channels: number, filters: number): boolean {
  return g.y[2]! * g.y[3]! <= mostPlaces && channels >= leastChannels && filters >= leastChannels;
}

/**
 * A convolution as one product: `weights` [filters, places of the kernel in the order of `offsets`, channels] times what
 * the windows read of `x` [n, c, h, w]; gives [n, filters, oh, ow]. `isTurned`: the kernel's places go backwards.
 */
export function asProduct(
  b: GraphBuilder,
  x: Value,
  weights: Value,
  g: Window,
  options: { readonly filters: number; readonly isTurned?: boolean; readonly bias?: Value | undefined },
): Value {
  const { filters, isTurned, bias } = options;
  const [n, channels] = g.x as [number, number];
  const [, , oh, ow] = g.y as [number, number, number, number];
  const width = g.kernel[0] * g.kernel[1] * channels;
  const slices = offsets(b, g, b.transpose(x, [0, 2, 3, 1]), { rank: 4, height: 1 });
  if (isTurned) slices.reverse();
  const columns = b.reshape(slices.length === 1 ? slices[0]! : b.concat(slices, 3), [n * oh * ow, width]);
  const product = b.gemm(columns, b.reshape(weights, [filters, width]), {
    transB: 1,
    ...(bias === undefined ? {} : { c: bias }),
  });
  return b.transpose(b.reshape(product, [n, oh, ow, filters]), [0, 3, 1, 2]);
}
