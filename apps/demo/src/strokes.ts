/** What was drawn, as data: strokes of points, and how they become lines on a sheet or greys in memory. */

/** A point of the sheet, 0..1 from the left and from the top. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export type Stroke = readonly Point[];

/** The part of a canvas context, or of a Path2D, that a line needs. */
interface LineSink {
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  quadraticCurveTo(cpx: number, cpy: number, x: number, y: number): void;
}

/**
 * Draws `stroke` as one smooth line: curves between the middles of neighbouring points, bent by the points
 * themselves, so that a hand's samples leave no kinks. A point given twice makes a corner; one point, a dot.
 */
export function traceStroke(stroke: Stroke, sink: LineSink, place: (point: Point) => Point): void {
  const points = stroke.map(place);
  const first = points[0];
  if (first === undefined) return;
  sink.moveTo(first.x, first.y);
  for (let i = 1; i < points.length - 1; i++) {
    const bend = points[i]!;
    const next = points[i + 1]!;
    sink.quadraticCurveTo(bend.x, bend.y, (bend.x + next.x) / 2, (bend.y + next.y) / 2);
  }
  const last = points[points.length - 1]!;
  sink.lineTo(last.x, last.y);
}

/** Pixels along one side of the grid that `rasterize` fills: 14 for each pixel of the network's 20x20 box. */
export const rasterSide = 280;
/** MNIST's pens leave lines of about this width in the 20x20 box. */
const penPixels = 2.8;
const inkSide = 240;
/** Clothes fill their picture; a thin outline is all that a pen adds. */
const fabric = { penPixels: 0.7, side: 268, colour: '#c8c8c8' };
/** A drawing smaller than this share of the sheet is a slip of the pen, not yet a digit. */
const smallestExtent = 0.06;

/**
 * Greys of the drawing, `rasterSide` squared, 0 background to 255 ink; undefined while it is too small to be a
 * digit. The drawing is scaled so that the pen is as wide as MNIST's whatever size it was drawn in; `filled`, it is
 * a garment: what a stroke encloses is cloth. `context` is a canvas of `rasterSide` squared that is overwritten.
 */
export function rasterize(
  strokes: readonly Stroke[],
  context: CanvasRenderingContext2D,
  filled = false,
): Uint8Array | undefined {
  const points = strokes.flat();
  const left = Math.min(...points.map(({ x }) => x));
  const top = Math.min(...points.map(({ y }) => y));
  const width = Math.max(...points.map(({ x }) => x)) - left;
  const height = Math.max(...points.map(({ y }) => y)) - top;
  const extent = Math.max(width, height);
  if (!(extent >= smallestExtent)) return undefined;
  const penWidth = filled ? (fabric.penPixels * fabric.side) / 28 : (penPixels * inkSide) / 20;
  const scale = ((filled ? fabric.side : inkSide) - penWidth) / extent;
  const place = ({ x, y }: Point): Point => ({
    x: (x - left - width / 2) * scale + rasterSide / 2,
    y: (y - top - height / 2) * scale + rasterSide / 2,
  });
  context.fillStyle = '#000';
  context.fillRect(0, 0, rasterSide, rasterSide);
  paintStrokes(context, strokes, { place, penWidth, colour: filled ? fabric.colour : '#fff', filled });
  const { data } = context.getImageData(0, 0, rasterSide, rasterSide);
  return Uint8Array.from({ length: rasterSide * rasterSide }, (_, i) => data[i * 4]!);
}

export interface Pen {
  readonly place: (point: Point) => Point;
  /** In pixels of the context. */
  readonly penWidth: number;
  readonly colour: string;
  /** Whether each stroke is closed and what it encloses is painted, too. */
  readonly filled?: boolean;
}

/** Paints all strokes with one round pen. */
export function paintStrokes(
  context: CanvasRenderingContext2D,
  strokes: readonly Stroke[],
  { place, penWidth, colour, filled = false }: Pen,
): void {
  context.lineCap = 'round';
  context.lineJoin = 'round';
  context.lineWidth = penWidth;
  context.strokeStyle = colour;
  context.beginPath();
  for (const stroke of strokes) traceStroke(stroke, context, place);
  context.stroke();
  if (!filled) return;
  context.fillStyle = colour;
  // By themselves: strokes that overlap must not cut holes into each other.
  for (const stroke of strokes) {
    context.beginPath();
    traceStroke(stroke, context, place);
    context.fill();
  }
}
