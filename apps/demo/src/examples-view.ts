/** The row of examples: each button shows its drawing and puts it on the sheet. */
import { byId } from './dom.ts';
import { examples } from './examples.ts';
import type { Subject } from './modes.ts';
import { paintStrokes, type Stroke } from './strokes.ts';

const side = 88;

export interface ExamplesView {
  show(subject: Subject): void;
}

/** `onChoose` is called with the strokes of the example that was pressed. */
export function createExamplesView(onChoose: (strokes: readonly Stroke[]) => void): ExamplesView {
  const row = byId('examples', HTMLElement);
  let painted: (() => void)[] = [];
  const paint = (): void => {
    for (const one of painted) one();
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);

  return {
    show(subject) {
      const filled = subject === 'clothes';
      painted = [];
      const buttons = examples[subject].map(({ name, strokes }) => {
        const button = document.createElement('button');
        const canvas = document.createElement('canvas');
        canvas.width = canvas.height = side;
        button.type = 'button';
        button.setAttribute('aria-label', `Draw ${name}`);
        button.title = `Draw ${name}`;
        button.append(canvas);
        button.addEventListener('click', () => onChoose(strokes));
        painted.push(() => {
          const context = canvas.getContext('2d')!;
          context.clearRect(0, 0, side, side);
          const colour = getComputedStyle(canvas).color;
          const place = ({ x, y }: { readonly x: number; readonly y: number }) => ({
            x: x * side,
            y: y * side,
          });
          paintStrokes(context, strokes, { place, penWidth: side / (filled ? 44 : 11), colour, filled });
        });
        return button;
      });
      row.replaceChildren(...buttons);
      paint();
    },
  };
}
