/**
 * Rebuilds a picture from a stem with the linear inverter that `tierwise leakage --inverter` wrote: each pixel is a
 * weighted sum of the stem's values around it. The layout is that of packages/train/src/leakage/grid.ts.
 */
export interface Inverter {
  /** Digest of the branch's file that holds the stem. */
  readonly branch: string;
  readonly grid: {
    /** [channels, height, width]. */
    readonly picture: readonly [number, number, number];
    readonly stem: readonly [number, number, number];
    readonly rows: number;
    readonly columns: number;
    readonly strideY: number;
    readonly strideX: number;
    readonly top: number;
    readonly left: number;
    readonly padY: number;
    readonly padX: number;
  };
  /** Of the window of cells. */
  readonly side: number;
  readonly scale: number;
  /** [pixels of a cell, channels of the stem and one that is 1, side, side]. */
  readonly weights: readonly number[];
}

/** Whether `value` can be used with the stem of a bundle: nothing else is computed with. */
export function isInverter(value: unknown, branch: string, stem: readonly number[]): value is Inverter {
  const { grid, side, weights, branch: own } = value as Inverter;
  return (
    own === branch &&
    grid.stem.join() === stem.slice(1).join() &&
    grid.picture[0] === 1 &&
    weights.length === grid.strideY * grid.strideX * (grid.stem[0] + 1) * side * side
  );
}

/** The picture, greys 0 to 255, that the inverter sees in `stem`, float32 of the grid's stem. */
export function rebuild({ grid, side, scale, weights }: Inverter, stem: Float32Array): Uint8Array {
  const [, pictureHeight, pictureWidth] = grid.picture;
  const [channels, height, width] = grid.stem;
  const reach = (side - 1) / 2;
  const picture = new Uint8Array(pictureHeight * pictureWidth);
  for (let y = 0; y < pictureHeight; y++)
    for (let x = 0; x < pictureWidth; x++) {
      const [gy, gx] = [y + grid.top, x + grid.left];
      const cellY = Math.floor(gy / grid.strideY) - grid.padY;
      const cellX = Math.floor(gx / grid.strideX) - grid.padX;
      const output = (gy % grid.strideY) * grid.strideX + (gx % grid.strideX);
      let sum = 0;
      for (let dy = -reach; dy <= reach; dy++)
        for (let dx = -reach; dx <= reach; dx++) {
          const [sy, sx] = [cellY + dy, cellX + dx];
          if (sy < 0 || sy >= height || sx < 0 || sx >= width) continue;
          const tap = (dy + reach) * side + dx + reach;
          const first = output * (channels + 1) * side * side + tap;
          for (let c = 0; c < channels; c++)
            sum += weights[first + c * side * side]! * stem[(c * height + sy) * width + sx]! * scale;
          sum += weights[first + channels * side * side]!;
        }
      picture[y * pictureWidth + x] = Math.round(255 * Math.min(1, Math.max(0, sum)));
    }
  return picture;
}
