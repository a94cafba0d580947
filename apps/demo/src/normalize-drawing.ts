/**
 * Makes of a drawing what the MNIST database made of scanned digits (LeCun, Cortes, Burges, "The MNIST database
 * of handwritten digits"): fitted into a 20x20 box keeping its aspect, antialiased, and moved by whole pixels so
 * that its centre of mass lies in the middle of a 28x28 field. A network trained on MNIST expects nothing else.
 */

/** Pixels of the network's picture along one side. */
export const pictureSide = 28;
/** Index of the pixel that the centre of mass falls on; the mean over MNIST's own 70 000 pictures is 14.0. */
const centreIndex = 14;

interface Grid {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** How a data set placed what its pictures show. */
export interface Placement {
  /** The longer side of the ink becomes as many pixels. */
  readonly boxSide: number;
  /** What lies in the middle of the field: the centre of mass, or that of the box. */
  readonly centre: 'mass' | 'box';
}

export const mnistPlacement: Placement = { boxSide: 20, centre: 'mass' };
/** Xiao, Rasul, Vollgraf 2017, section 2: trimmed, the longest edge resized to 28, placed in the middle. */
export const fashionPlacement: Placement = { boxSide: 28, centre: 'box' };

/**
 * The normalised picture, 28 x 28 greys row by row, 0 background to 255 ink; undefined when there is no ink.
 * `greys`: `width * height` values in the same sense, which are not changed.
 */
export function normalizeDrawing(
  greys: Uint8Array,
  width: number,
  height: number,
  { boxSide, centre }: Placement = mnistPlacement,
): Uint8Array<ArrayBuffer> | undefined {
  const ink = inkBox({ data: greys, width, height });
  if (ink === undefined) return undefined;
  const fitted = fit({ data: greys, width, height }, ink, boxSide);
  const picture = new Uint8Array(pictureSide * pictureSide);
  const middle = (length: number) => Math.floor((pictureSide - length) / 2);
  const left = centre === 'box' ? middle(fitted.width) : place(centreOfMass(fitted, 'x'), fitted.width);
  const top = centre === 'box' ? middle(fitted.height) : place(centreOfMass(fitted, 'y'), fitted.height);
  for (let y = 0; y < fitted.height; y++) {
    const row = fitted.data.subarray(y * fitted.width, (y + 1) * fitted.width);
    picture.set(row, (top + y) * pictureSide + left);
  }
  return picture;
}

/** The smallest box around all pixels above 0. */
function inkBox({ data, width, height }: Grid): Box | undefined {
  let left = width;
  let top = height;
  let right = -1;
  let bottom = -1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] === 0) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  return right < 0 ? undefined : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/**
 * The ink scaled so that its longer side is `boxSide` pixels. Each new pixel is the mean of the square of the drawing
 * that it covers, which is what antialiases; the shorter side is centred and may end in partly covered pixels.
 */
function fit(source: Grid, ink: Box, boxSide: number): Grid {
  const cell = Math.max(ink.width, ink.height) / boxSide;
  const width = Math.ceil(ink.width / cell - 1e-9);
  const height = Math.ceil(ink.height / cell - 1e-9);
  const startX = (ink.width - width * cell) / 2;
  const startY = (ink.height - height * cell) / 2;
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      data[y * width + x] = Math.round(meanOver(source, ink, startX + x * cell, startY + y * cell, cell));
    }
  }
  return { data, width, height };
}

/**
 * Mean grey of the square of side `cell` at (left, top) of the ink's box; pixels on its border count by the
 * covered share, and what lies outside the box is background.
 */
function meanOver({ data, width }: Grid, ink: Box, left: number, top: number, cell: number): number {
  let sum = 0;
  const lastX = Math.min(ink.width, Math.ceil(left + cell));
  const lastY = Math.min(ink.height, Math.ceil(top + cell));
  for (let y = Math.max(0, Math.floor(top)); y < lastY; y++) {
    const shareY = Math.min(y + 1, top + cell) - Math.max(y, top);
    for (let x = Math.max(0, Math.floor(left)); x < lastX; x++) {
      const shareX = Math.min(x + 1, left + cell) - Math.max(x, left);
      sum += data[(ink.top + y) * width + ink.left + x]! * shareX * shareY;
    }
  }
  return sum / (cell * cell);
}

/** Mean index along one axis, weighted by ink. */
function centreOfMass({ data, width, height }: Grid, axis: 'x' | 'y'): number {
  let mass = 0;
  let moment = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const grey = data[y * width + x]!;
      mass += grey;
      moment += grey * (axis === 'x' ? x : y);
    }
  }
  return mass > 0 ? moment / mass : (axis === 'x' ? width - 1 : height - 1) / 2;
}

/**
 * Where `length` pixels start so that `centre` lies on the middle pixel and none falls off the field. The centre
 * of a symmetrical drawing is exactly half way between two pixels: the thousandth decides, not rounding noise.
 */
function place(centre: number, length: number): number {
  return Math.min(pictureSide - length, Math.max(0, Math.round(centreIndex - centre + 0.001)));
}
