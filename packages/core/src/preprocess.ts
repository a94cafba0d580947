import { type Tensor, tensor } from './tensor.ts';
import { TierwiseError } from './tierwise-error.ts';

/**
 * A decoded picture: 8-bit samples, interleaved, row by row from the top. `data.length / (width * height)` says
 * what a pixel is: 1 grey, 3 RGB, 4 RGBA with straight alpha (what a canvas gives). Sides are 1..65535.
 */
export interface Pixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** What a network wants of a picture; `mean` and `std` hold one value, or one for each channel. */
export interface PreprocessSpec {
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
  readonly scale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

const maxSide = 65535;

/**
 * A picture as the network's input: float32 NCHW [1, channels, height, width] with
 * value = (pixel * scale - mean[c]) / std[c], each of the three operations rounded to float32, and pixel a whole
 * number 0..255. With scale 1, mean 0 and std 1 the values are whole numbers, so sums of them with whole weights
 * are exact.
 *
 * Every step before that is whole-number arithmetic, so Node and every browser give the same bits:
 * alpha is laid over black, round(c * a / 255); grey is (19595 R + 38470 G + 7471 B + 32768) >> 16 (ITU-R BT.601,
 * as Pillow does it), and a grey picture fills three channels alike; then each axis is resized on its own, by area
 * average when it shrinks and bilinearly (half-pixel centres, edges repeated) when it grows, and the result is
 * rounded once, halves up.
 * @throws TierwiseError IMAGE_INVALID when the picture is empty, too large or its length does not match its sides;
 *   MANIFEST_INVALID when `mean` or `std` does not fit the channels
 */
export function preprocess(pixels: Pixels, spec: PreprocessSpec): Tensor<'float32'> {
  const samples = checkPixels(pixels);
  const { channels, height, width } = spec;
  const planeSize = height * width;
  const out = new Float32Array(channels * planeSize);
  const across = axis(pixels.width, width);
  const down = axis(pixels.height, height);
  const shared = channels === 1 || samples === 1;
  let resized: Uint8Array | undefined;
  for (let c = 0; c < channels; c++) {
    if (c === 0 || !shared) {
      resized = resizePlane(plane(pixels, samples, channels === 1 ? 'grey' : c), pixels.width, across, down);
    }
    const values = valueTable(spec, c);
    for (let i = 0; i < planeSize; i++) out[c * planeSize + i] = values[resized![i]!]!;
  }
  return tensor('float32', [1, channels, height, width], out);
}

/**
 * Pictures that have the network's size already, uint8 NCHW, as its input: the same numbers that `preprocess` makes.
 * @throws TierwiseError MANIFEST_INVALID when `mean` or `std` does not fit the channels
 */
export function normalize(planes: Uint8Array, spec: PreprocessSpec): Float32Array<ArrayBuffer> {
  const { channels, height, width } = spec;
  const tables = Array.from({ length: channels }, (_, c) => valueTable(spec, c));
  const size = height * width;
  const out = new Float32Array(planes.length);
  for (let at = 0; at < planes.length; at += size) {
    const values = tables[(at / size) % channels]!;
    for (let i = at; i < at + size; i++) out[i] = values[planes[i]!]!;
  }
  return out;
}

/** Samples a pixel has: 1, 3 or 4. */
function checkPixels({ data, width, height }: Pixels): number {
  for (const side of [width, height]) {
    if (!Number.isInteger(side) || side < 1 || side > maxSide) {
      throw new TierwiseError(
        'IMAGE_INVALID',
        `a picture of ${width} x ${height} pixels: sides must be 1 to ${maxSide}`,
        { width, height },
      );
    }
  }
  const samples = data.length / (width * height);
  if (samples !== 1 && samples !== 3 && samples !== 4) {
    throw new TierwiseError(
      'IMAGE_INVALID',
      `a picture of ${width} x ${height} pixels has 1, 3 or 4 bytes a pixel, but ${data.length} bytes were given`,
      { width, height, bytes: data.length },
    );
  }
  return samples;
}

/** One plane of the picture at its own size: channel 0, 1, 2 or the grey of all three. */
function plane({ data, width, height }: Pixels, samples: number, channel: number | 'grey'): Uint8Array {
  const count = width * height;
  const out = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const at = i * samples;
    let value: number;
    if (samples === 1) value = data[at]!;
    else {
      const alpha = samples === 4 ? data[at + 3]! : 255;
      if (channel === 'grey') {
        const r = overBlack(data[at]!, alpha);
        const g = overBlack(data[at + 1]!, alpha);
        const b = overBlack(data[at + 2]!, alpha);
        value = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
      } else value = overBlack(data[at + channel]!, alpha);
    }
    out[i] = value;
  }
  return out;
}

/** round(value * alpha / 255); 255 is odd, so there are no halves. */
function overBlack(value: number, alpha: number): number {
  return alpha === 255 ? value : Math.floor((value * alpha + 127) / 255);
}

/** How one axis is resized: output i is sum(weights[i][k] * source[starts[i] + k]) / denominator, in whole numbers. */
interface Axis {
  readonly denominator: number;
  readonly starts: readonly number[];
  readonly weights: readonly (readonly number[])[];
}

function axis(from: number, to: number): Axis {
  const starts: number[] = [];
  const weights: number[][] = [];
  if (to <= from) {
    // A source pixel is `to` units wide and an output pixel `from` units, so overlaps are whole.
    for (let o = 0; o < to; o++) {
      const begin = o * from;
      const end = begin + from;
      const first = Math.floor(begin / to);
      const row: number[] = [];
      for (let s = first; s * to < end; s++) row.push(Math.min(end, (s + 1) * to) - Math.max(begin, s * to));
      starts.push(first);
      weights.push(row);
    }
    return { denominator: from, starts, weights };
  }
  // The centre of output o lies at (o + 1/2) * from / to - 1/2 source pixels: `position` units of 1 / (2 * to).
  const unit = 2 * to;
  for (let o = 0; o < to; o++) {
    const position = Math.min(Math.max((2 * o + 1) * from - to, 0), (from - 1) * unit);
    const first = Math.min(Math.floor(position / unit), Math.max(from - 2, 0));
    const right = position - first * unit;
    starts.push(first);
    weights.push(from === 1 ? [unit] : [unit - right, right]);
  }
  return { denominator: unit, starts, weights };
}

/**
 * Resizes across, then down. Sums stay below 2 * 255 * (2 * 65535)^2 < 2^43, so float64 holds them exactly and no
 * order of additions matters; the quotient's rounding (2^-46) is smaller than its distance from the next whole
 * number (at least 2^-35), so the floor is exact too.
 */
function resizePlane(source: Uint8Array, sourceWidth: number, across: Axis, down: Axis): Uint8Array {
  const width = across.starts.length;
  const height = down.starts.length;
  const sourceHeight = source.length / sourceWidth;
  const rows = new Float64Array(sourceHeight * width);
  for (let y = 0; y < sourceHeight; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * sourceWidth + across.starts[x]!;
      const weights = across.weights[x]!;
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * source[at + k]!;
      rows[y * width + x] = sum;
    }
  }
  const denominator = across.denominator * down.denominator;
  const out = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    const start = down.starts[y]!;
    const weights = down.weights[y]!;
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * rows[(start + k) * width + x]!;
      out[y * width + x] = Math.floor((2 * sum + denominator) / (2 * denominator));
    }
  }
  return out;
}

/** The network's value for each pixel 0..255 of channel c. Mean and std have one number, or one for each channel. */
function valueTable({ scale, mean, std }: PreprocessSpec, c: number): Float32Array {
  const factor = Math.fround(scale);
  const shift = Math.fround(mean[mean.length === 1 ? 0 : c]!);
  const divisor = Math.fround(std[std.length === 1 ? 0 : c]!);
  return Float32Array.from(
    { length: 256 },
    (_, pixel) => Math.fround(Math.fround(pixel * factor) - shift) / divisor,
  );
}
