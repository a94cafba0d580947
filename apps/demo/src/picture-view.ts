/** The 28x28 picture that the network is given, shown large enough to see, and its size as a PNG. */
import { byId } from './dom.ts';
import { formatBytes } from './format.ts';
import { pictureSide } from './normalize-drawing.ts';

export interface PictureView {
  /** Shows `greys`, 784 values 0..255; undefined shows an empty field. */
  show(greys: Uint8Array | undefined): void;
  /** Bytes of the picture as a PNG of this browser; undefined when it is empty, cannot be made, or changed meanwhile. */
  pngBytes(): Promise<number | undefined>;
}

export function createPictureView(): PictureView {
  const canvas = byId('picture', HTMLCanvasElement);
  const size = byId('png-bytes', HTMLElement);
  // Without an alpha channel the browser's PNG is smaller: the comparison must not flatter what is sent.
  const context = canvas.getContext('2d', { alpha: false })!;
  let shown: Uint8Array | undefined;

  return {
    show(greys) {
      shown = greys;
      const image = context.createImageData(pictureSide, pictureSide);
      for (let i = 0; i < pictureSide * pictureSide; i++) {
        image.data.fill(greys?.[i] ?? 0, i * 4, i * 4 + 3);
        image.data[i * 4 + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      if (greys === undefined) size.textContent = '–';
    },
    async pngBytes() {
      const asked = shown;
      if (asked === undefined) return undefined;
      const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
      if (shown !== asked || blob === null) return undefined;
      size.textContent = formatBytes(blob.size);
      return blob.size;
    },
  };
}
