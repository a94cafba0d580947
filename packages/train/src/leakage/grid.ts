import { TierwiseError } from '@tierwise/core';

/**
 * How the cells of a stem's map lie on the picture. Cell (i, j) of the grid stands for the `strideY` x `strideX` pixels
 * from (strideY * i - top, strideX * j - left); the stem's own cells are the grid's from (padY, padX), and those around
 * them are there because a stem without padding is smaller than its picture.
 */
export interface Grid {
  /** [channels, height, width] of the picture and of the stem. */
  readonly picture: Size;
  readonly stem: Size;
  readonly rows: number;
  readonly columns: number;
  readonly strideY: number;
  readonly strideX: number;
  readonly top: number;
  readonly left: number;
  readonly padY: number;
  readonly padX: number;
}

type Size = readonly [channels: number, height: number, width: number];

interface Side {
  readonly cells: number;
  readonly stride: number;
  readonly before: number;
  readonly pad: number;
}

/** A tenth more: a stem that rounds up is as coarse as one that fits. */
function sideOf(pixels: number, cells: number): Side {
  const stride = Math.max(1, Math.floor(pixels / cells + 0.1));
  const offset = Math.floor((pixels - stride * cells) / 2);
  const pad = Math.max(0, Math.ceil(offset / stride));
  const last = Math.max(cells, Math.ceil((pixels - offset) / stride));
  return { cells: last + pad, stride, before: pad * stride - offset, pad };
}

/**
 * The grid for a picture and a stem of these dims, [1, c, h, w].
 * @throws TierwiseError MODEL_UNSUPPORTED when the stem is no map
 */
export function gridOf(inputDims: readonly number[], stemDims: readonly number[]): Grid {
  if (inputDims.length !== 4 || stemDims.length !== 4)
    throw new TierwiseError(
      'MODEL_UNSUPPORTED',
      `a stem of shape [${stemDims}] for pictures of [${inputDims}] is no map that could be laid over the picture`,
    );
  const picture = inputDims.slice(1) as unknown as Size;
  const stem = stemDims.slice(1) as unknown as Size;
  const y = sideOf(picture[1], stem[1]);
  const x = sideOf(picture[2], stem[2]);
  return {
    picture,
    stem,
    rows: y.cells,
    columns: x.cells,
    strideY: y.stride,
    strideX: x.stride,
    top: y.before,
    left: x.before,
    padY: y.pad,
    padX: x.pad,
  };
}

/** Channels of `features`: the stem's, and one that is 1 where the stem has a cell. */
export const featureChannels = ({ stem }: Grid) => stem[0] + 1;
/** Channels of `targets`: the pixels of a cell. */
export const targetChannels = ({ picture, strideY, strideX }: Grid) => picture[0] * strideY * strideX;

/** Lays one stem, times `scale`, on the grid at `into`: [featureChannels, rows, columns]. */
export function features(grid: Grid, stem: Float32Array, scale: number, into: Float32Array): void {
  const [channels, height, width] = grid.stem;
  const plane = grid.rows * grid.columns;
  for (let c = 0; c <= channels; c++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        into[c * plane + (y + grid.padY) * grid.columns + x + grid.padX] =
          c === channels ? 1 : stem[(c * height + y) * width + x]! * scale;
}

/** Calls `visit` with each place of the targets and the pixel there; places beyond the picture repeat its border. */
function eachPixel(grid: Grid, visit: (target: number, pixel: number, inside: boolean) => void): void {
  const [channels, height, width] = grid.picture;
  const { rows, columns, strideY, strideX, top, left } = grid;
  for (let c = 0; c < channels; c++)
    for (let y = -top; y < rows * strideY - top; y++)
      for (let x = -left; x < columns * strideX - left; x++) {
        const [gy, gx] = [y + top, x + left];
        const channel = (c * strideY + (gy % strideY)) * strideX + (gx % strideX);
        const target = (channel * rows + Math.floor(gy / strideY)) * columns + Math.floor(gx / strideX);
        const cy = Math.min(height - 1, Math.max(0, y));
        const cx = Math.min(width - 1, Math.max(0, x));
        visit(target, (c * height + cy) * width + cx, cy === y && cx === x);
      }
}

/** A picture 0..255 as what an inverter should say, 0..1, at `into`: [targetChannels, rows, columns]. */
export function targets(grid: Grid, picture: Uint8Array, into: Float32Array): void {
  eachPixel(grid, (target, pixel) => {
    into[target] = picture[pixel]! / 255;
  });
}

/** The picture of what an inverter said, cut to 0..255. */
export function pictureOf(grid: Grid, said: Float32Array, into: Uint8Array): void {
  eachPixel(grid, (target, pixel, inside) => {
    if (inside) into[pixel] = Math.round(255 * Math.min(1, Math.max(0, said[target]!)));
  });
}
