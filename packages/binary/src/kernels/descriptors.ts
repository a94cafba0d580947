/**
 * What each kernel is told: a record of 32-bit words in the kernels' memory. A record is written once, when a program
 * is prepared, and a kernel takes its address alone, so that running costs no argument passing and no objects. The
 * same fields in the same order are the classes of assembly/descriptors.ts.
 *
 * `source`, `dest`, `weights` and the like are byte addresses. A value is described by the address of its pixel (0, 0),
 * which lies inside the border when it has one, the bytes from a pixel to the next (`...Pixel`) and from a row to the
 * next (`...Row`). Real values have their channels side by side in float32, bits likewise in whole bytes.
 */
export const descriptors = {
  /**
   * Binary convolution and dense layer. A window is `rows` runs of `rowBytes` bytes, `rowPitch` apart, the first at
   * `source` for output pixel (0, 0); `stepX` and `stepY` bytes lead to the windows of its neighbours. As bits
   * (`sums` 0): `starts` int16 [channels] minus the limit of mismatches, `inverts` a bit a channel. As sums: `starts`
   * all 0, `terms` products a sum, float32. `starts` and `inverts` are filled up with zeros to 64 channels.
   */
  convBinary: [
    'source',
    'stepX',
    'stepY',
    'width',
    'height',
    'rows',
    'rowBytes',
    'rowPitch',
    'weights',
    'starts',
    'inverts',
    'channels',
    'sums',
    'terms',
    'dest',
    'destPixel',
    'destRow',
    'scratch',
  ],
  /**
   * Real convolution and dense layer. Each of the `rows` of a window is `runs` runs of `runBytes` bytes, `runPitch`
   * apart. `starts` float32: the bias, or zeros. `weights` and `starts` are filled up with zeros to 8 channels. Where
   * weights are whole, `whole` has them as int16 in pairs: a kernel may use them when every float32 of the source's
   * memory, `imageBytes` from `image` on, is a whole number of size `most` or less; `narrowed` has room for the source
   * as int16. Else `whole` is 0.
   */
  convReal: [
    'source',
    'stepX',
    'stepY',
    'width',
    'height',
    'rows',
    'rowPitch',
    'runs',
    'runBytes',
    'runPitch',
    'weights',
    'starts',
    'channels',
    'dest',
    'destPixel',
    'destRow',
    'scratch',
    'whole',
    'most',
    'image',
    'imageBytes',
    'narrowed',
  ],
  /**
   * y = x * scale + bias, max(y, 0) where `relu`, y + other; stored at `dest`, and its bits at `bits`: bit = turned y
   * >= threshold, where `signs` has the sign bits to turn. An address of 0 leaves a part out. Arrays are filled up to
   * 8 channels: `scale`, `bias` and `signs` with 0, `thresholds` with NaN.
   */
  blend: [
    'width',
    'height',
    'channels',
    'source',
    'sourcePixel',
    'sourceRow',
    'scale',
    'bias',
    'relu',
    'other',
    'otherPixel',
    'otherRow',
    'dest',
    'destPixel',
    'destRow',
    'thresholds',
    'signs',
    'bits',
    'bitsPixel',
    'bitsRow',
  ],
  /**
   * Maximum of reals (`inverts` 0), or of bits, turned round where `inverts` has a bit. For `depthwise`, from bits to
   * sums in float32: `inverts` are int8 weights [row][column][channel], filled up with zeros to `pixelBytes` / 4 channels.
   */
  pool: [
    'source',
    'sourcePixel',
    'sourceRow',
    'sourceWidth',
    'sourceHeight',
    'kernelW',
    'kernelH',
    'strideW',
    'strideH',
    'padW',
    'padH',
    'pixelBytes',
    'inverts',
    'width',
    'height',
    'dest',
    'destPixel',
    'destRow',
  ],
  /** Mean of each plane of reals, to one pixel. */
  mean: ['source', 'sourcePixel', 'sourceRow', 'width', 'height', 'channels', 'dest'],
  /** Reals from one layout to another; `...Channel` is the way to the next channel. */
  arrange: [
    'width',
    'height',
    'channels',
    'source',
    'sourcePixel',
    'sourceRow',
    'sourceChannel',
    'dest',
    'destPixel',
    'destRow',
    'destChannel',
  ],
  /** Bits to planes of +1 and -1, float32. */
  spread: ['width', 'height', 'channels', 'source', 'sourcePixel', 'sourceRow', 'dest'],
  /**
   * The binary weights of `outputs` output channels side by side, from a bit stream at `source` that begins `shift` bits into its
   * first byte, to their places; `form` is an index of `forms` in weights.ts. Reads one byte past the end of the stream.
   */
  lay: ['source', 'shift', 'outputs', 'pixels', 'channels', 'planar', 'pixelBytes', 'dest', 'pitch', 'form'],
} as const;

export type DescriptorName = keyof typeof descriptors;
export type Fields<K extends DescriptorName> = Readonly<Record<(typeof descriptors)[K][number], number>>;

/** Bytes of the record of `name`. */
export function descriptorBytes(name: DescriptorName): number {
  return 4 * descriptors[name].length;
}

/** Writes a record at byte address `at`, a multiple of 4. */
export function writeDescriptor<K extends DescriptorName>(
  words: Int32Array,
  at: number,
  name: K,
  fields: Fields<K>,
): void {
  const values: Readonly<Record<string, number>> = fields;
  descriptors[name].forEach((field, i) => {
    words[at / 4 + i] = values[field]!;
  });
}
