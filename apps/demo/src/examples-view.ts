/** The row of examples: each button shows its drawing and puts it on the sheet. */
import { byId } from './dom.ts';
import { examples } from './examples.ts';
import { paintStrokes, type Stroke } from './strokes.ts';

const side = 88;

/** `onChoose` is called with the strokes of the example that was pressed. */
export function showExamples(onChoose: (strokes: readonly Stroke[]) => void): void {
  const thumbnails = examples.map(({ name, strokes }) => {
    const button = document.createElement('button');
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = side;
    button.type = 'button';
    button.setAttribute('aria-label', `Draw ${name}`);
    button.title = `Draw ${name}`;
    button.append(canvas);
    button.addEventListener('click', () => onChoose(strokes));
    return { button, canvas, strokes };
  });
  byId('examples', HTMLElement).replaceChildren(...thumbnails.map(({ button }) => button));

  const paint = (): void => {
    for (const { canvas, strokes } of thumbnails) {
      const context = canvas.getContext('2d')!;
      context.clearRect(0, 0, side, side);
      const place = ({ x, y }: { readonly x: number; readonly y: number }) => ({ x: x * side, y: y * side });
      paintStrokes(context, strokes, { place, penWidth: side / 11, colour: getComputedStyle(canvas).color });
    }
  };
  paint();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
}
