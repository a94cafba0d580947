/** What is sent of a picture, and what can be rebuilt from it, beside what the network sees. */
import type { Answer, Composite } from '@tierwise/device';
import { byId } from './dom.ts';
import { formatBytes } from './format.ts';
import { type Inverter, isInverter, rebuild } from './inversion.ts';
import type { StemOf } from './stem.ts';

export interface RevealView {
  /** `bundle`: address of its folder. */
  setComposite(composite: Composite, bundle: URL, name: string): void;
  /** Shows what `greys` become; `answer` says whether that was sent. Undefined shows empty fields. */
  show(greys: Uint8Array | undefined, answer?: Answer): void;
}

interface Opened {
  readonly stemOf: StemOf;
  readonly inverter: Inverter | undefined;
}

async function open({ manifest }: Composite, bundle: URL, name: string): Promise<Opened> {
  const [{ openStem }, branch, inverter] = await Promise.all([
    import('./stem.ts'),
    fetch(new URL(manifest.branch.artifact.file, bundle)).then((response) => response.arrayBuffer()),
    fetch(new URL(`inverters/${name}.json`, document.baseURI))
      .then((response) => (response.ok ? response.json() : undefined))
      .catch(() => undefined),
  ]);
  const { digest } = manifest.branch.artifact;
  const usable = inverter !== undefined && isInverter(inverter, digest, manifest.stem.dims);
  return {
    stemOf: await openStem(manifest, new Uint8Array(branch)),
    inverter: usable ? inverter : undefined,
  };
}

export function createRevealView(): RevealView {
  const map = byId('sent-map', HTMLCanvasElement);
  const rebuilt = byId('rebuilt', HTMLCanvasElement);
  const note = byId('reveal-note', HTMLElement);
  const invitation = note.textContent;
  let opened: Promise<Opened> | undefined;
  let load: () => Promise<Opened>;
  let turn = 0;

  const clear = (): void => {
    for (const canvas of [map, rebuilt])
      canvas.getContext('2d')!.clearRect(0, 0, canvas.width, canvas.height);
    note.textContent = invitation;
  };

  return {
    setComposite(composite, bundle, name) {
      opened = undefined;
      load = () => open(composite, bundle, name);
    },
    async show(greys, answer) {
      const mine = ++turn;
      if (greys === undefined) return clear();
      try {
        opened ??= load();
        const { stemOf, inverter } = await opened;
        const { values, bytes } = await stemOf(greys);
        if (mine !== turn) return;
        paintMap(map, values);
        if (inverter !== undefined) paint(rebuilt, rebuild(inverter, values), 28);
        const packed = `${formatBytes(bytes)} packed`;
        note.textContent =
          answer?.sent === undefined
            ? `Not sent: this is what would leave the device, ${packed}, and what anybody could rebuild from it.`
            : answer.sent.dims.length === 4 && answer.sent.dims[1] === 1
              ? 'The picture itself was sent: nothing has to be rebuilt.'
              : `Sent: ${packed}. Whoever has it can rebuild the drawing about as well as this; with more effort, better.`;
      } catch {
        // Nothing else depends on it; the next picture tries again.
        opened = undefined;
        if (mine === turn) clear();
      }
    },
  };
}

/** All channels of a 12 x 12 map beside each other, five in a row; the largest value is white. */
function paintMap(canvas: HTMLCanvasElement, values: Float32Array): void {
  const [columns, rows, side] = [5, 4, 12];
  const most = values.reduce((a, b) => Math.max(a, b), 1e-6);
  const greys = new Uint8Array(columns * rows * side * side);
  values.forEach((value, i) => {
    const channel = Math.floor(i / (side * side));
    const [y, x] = [Math.floor(i / side) % side, i % side];
    const row = Math.floor(channel / columns) * side + y;
    greys[row * columns * side + (channel % columns) * side + x] = Math.round(
      (255 * Math.max(0, value)) / most,
    );
  });
  paint(canvas, greys, columns * side);
}

function paint(canvas: HTMLCanvasElement, greys: Uint8Array, width: number): void {
  const context = canvas.getContext('2d')!;
  const image = context.createImageData(width, greys.length / width);
  for (let i = 0; i < greys.length; i++) {
    image.data.fill(greys[i]!, i * 4, i * 4 + 3);
    image.data[i * 4 + 3] = 255;
  }
  canvas.width = width;
  canvas.height = greys.length / width;
  context.putImageData(image, 0, 0);
}
