/** The sheet: takes strokes from mouse, touch, pen and keys, and shows them. */
import { type Point, paintStrokes, rasterize, rasterSide, type Stroke } from './strokes.ts';

export interface DrawingEvents {
  /** A stroke has begun: whatever was asked about the drawing is out of date. */
  readonly onStart: () => void;
  /** The drawing changed under a lowered pen. */
  readonly onDraw: () => void;
  /** A stroke is complete, or an example or a blank sheet was put here. */
  readonly onDone: () => void;
}

export interface Drawing {
  readonly blank: boolean;
  /** Greys of `rasterSide` squared for `normalizeDrawing`; undefined while there is no digit to see. */
  greys(): Uint8Array | undefined;
  /** Replaces the drawing; `[]` clears it. `filled`: outlines of clothes from here on, not lines. */
  show(strokes: readonly Stroke[], filled?: boolean): void;
}

/** Width of the visible line as a share of the sheet's side. */
const lineShare = 0.068;
const keyStep = 1 / 32;
const moves: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -keyStep, y: 0 },
  ArrowRight: { x: keyStep, y: 0 },
  ArrowUp: { x: 0, y: -keyStep },
  ArrowDown: { x: 0, y: keyStep },
};

/** Makes `canvas` a sheet. It follows its size on the page and the colour scheme (`color` of its style). */
export function createDrawing(
  canvas: HTMLCanvasElement,
  { onStart, onDraw, onDone }: DrawingEvents,
): Drawing {
  const screen = canvas.getContext('2d')!;
  const sheet = document.createElement('canvas');
  sheet.width = sheet.height = rasterSide;
  const raster = sheet.getContext('2d', { willReadFrequently: true })!;

  // Keys reach it, and a screen reader hands them through.
  canvas.tabIndex = 0;
  canvas.setAttribute('role', 'application');

  let strokes: Point[][] = [];
  let filled = false;
  let pointer: number | undefined;
  /** Where the keys have the pen; shown while the sheet has the focus and keys are in use. */
  let keyPen: Point | undefined;
  let keyPenDown = false;

  const paint = (): void => {
    const side = canvas.width;
    screen.clearRect(0, 0, side, side);
    const place = ({ x, y }: Point): Point => ({ x: x * side, y: y * side });
    const colour = getComputedStyle(canvas).color;
    const penWidth = (filled ? lineShare / 3 : lineShare) * side;
    paintStrokes(screen, strokes, { place, penWidth, colour, filled });
    if (keyPen === undefined) return;
    const { x, y } = place(keyPen);
    screen.beginPath();
    screen.arc(x, y, (lineShare * side) / 1.6, 0, 2 * Math.PI);
    screen.lineWidth = side / (keyPenDown ? 120 : 240);
    screen.strokeStyle = getComputedStyle(canvas).outlineColor;
    screen.stroke();
  };

  const pointOf = (event: PointerEvent): Point => {
    const box = canvas.getBoundingClientRect();
    const inside = (value: number): number => Math.min(1, Math.max(0, value));
    return {
      x: inside((event.clientX - box.left) / box.width),
      y: inside((event.clientY - box.top) / box.height),
    };
  };

  const endStroke = (): void => {
    pointer = undefined;
    keyPenDown = false;
    paint();
    onDone();
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (pointer !== undefined || event.button !== 0) return;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    keyPen = undefined;
    keyPenDown = false;
    strokes.push([pointOf(event)]);
    onStart();
    paint();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerId !== pointer) return;
    // Browsers hand over one event a frame; the points between are what makes a quick curve round.
    const events = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1)!.push(...(events.length > 0 ? events : [event]).map(pointOf));
    paint();
    onDraw();
  });
  for (const end of ['pointerup', 'pointercancel'] as const) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId === pointer) endStroke();
    });
  }

  canvas.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || pointer !== undefined) return;
    const move = moves[event.key];
    if (move !== undefined) {
      const from = keyPen ?? { x: 0.5, y: 0.5 };
      const inside = (value: number): number => Math.min(0.97, Math.max(0.03, value));
      keyPen = { x: inside(from.x + move.x), y: inside(from.y + move.y) };
      if (keyPenDown) {
        strokes.at(-1)!.push(keyPen);
        onDraw();
      }
    } else if (event.key === ' ' && !event.repeat) {
      keyPen ??= { x: 0.5, y: 0.5 };
      if (keyPenDown) {
        endStroke();
      } else {
        keyPenDown = true;
        strokes.push([keyPen]);
        onStart();
      }
    } else if (event.key === 'Delete' || event.key === 'Backspace') {
      drawing.show([]);
    } else if (event.key !== ' ') {
      return;
    }
    event.preventDefault();
    paint();
  });
  canvas.addEventListener('blur', () => {
    keyPen = undefined;
    if (keyPenDown) endStroke();
    else paint();
  });

  new ResizeObserver(() => {
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (side !== canvas.width) canvas.width = canvas.height = side;
    paint();
  }).observe(canvas);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);

  const drawing: Drawing = {
    get blank() {
      return strokes.length === 0;
    },
    greys: () => rasterize(strokes, raster, filled),
    show(shown, asClothes = filled) {
      filled = asClothes;
      strokes = shown.map((stroke) => [...stroke]);
      if (pointer !== undefined) canvas.releasePointerCapture(pointer);
      pointer = undefined;
      keyPenDown = false;
      onStart();
      paint();
      onDone();
    },
  };
  return drawing;
}
