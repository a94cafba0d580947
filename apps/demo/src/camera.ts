/** The camera, or a photo from a file where there is none: gives the square in its middle. */
import { byId } from './dom.ts';

/** Pixels along one side of the square that is looked at. */
export const photoSide = 140;

export interface Camera {
  /** Whether something is to be seen, and whether it moves. */
  readonly state: 'off' | 'live' | 'still';
  start(): Promise<void>;
  stop(): void;
  /** RGBA of the square, `photoSide` squared; undefined while there is nothing to see. */
  photo(): Uint8ClampedArray | undefined;
}

export interface CameraEvents {
  /** A photo was opened, or the moving picture began or ended. */
  readonly onChange: () => void;
  /** What went wrong, for people. */
  readonly onProblem: (problem: string) => void;
}

export function createCamera({ onChange, onProblem }: CameraEvents): Camera {
  const video = byId('camera', HTMLVideoElement);
  const shown = byId('photo', HTMLCanvasElement);
  const file = byId('photo-file', HTMLInputElement);
  const sheet = document.createElement('canvas');
  sheet.width = sheet.height = photoSide;
  const context = sheet.getContext('2d', { willReadFrequently: true })!;
  let state: Camera['state'] = 'off';
  /** Counts starts and stops: a camera that comes after it was given up is switched off again. */
  let turn = 0;

  const draw = (source: CanvasImageSource, width: number, height: number, onto: CanvasRenderingContext2D) => {
    const side = Math.min(width, height);
    const to = onto.canvas.width;
    onto.drawImage(source, (width - side) / 2, (height - side) / 2, side, side, 0, 0, to, to);
  };
  const switchOff = (): void => {
    if (video.srcObject instanceof MediaStream) for (const track of video.srcObject.getTracks()) track.stop();
    video.srcObject = null;
    video.hidden = true;
  };

  file.addEventListener('change', async () => {
    const chosen = file.files?.[0];
    file.value = '';
    if (chosen === undefined) return;
    turn++;
    try {
      const bitmap = await createImageBitmap(chosen);
      switchOff();
      shown.width = shown.height = 2 * photoSide;
      draw(bitmap, bitmap.width, bitmap.height, context);
      draw(bitmap, bitmap.width, bitmap.height, shown.getContext('2d')!);
      bitmap.close();
      shown.hidden = false;
      state = 'still';
      onChange();
    } catch {
      onProblem(`${chosen.name} is not a picture that this browser can open.`);
    }
  });

  return {
    get state() {
      return state;
    },
    async start() {
      const mine = ++turn;
      shown.hidden = true;
      state = 'off';
      onChange();
      if (navigator.mediaDevices === undefined) {
        onProblem(
          'There is no camera for pages here (it takes HTTPS or this very machine). Open a photo instead.',
        );
        return;
      }
      try {
        const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
        if (mine !== turn) {
          for (const track of stream.getTracks()) track.stop();
          return;
        }
        video.srcObject = stream;
        video.hidden = false;
        await video.play();
        state = 'live';
        onChange();
      } catch (thrown) {
        if (mine !== turn) return;
        switchOff();
        const refused = thrown instanceof DOMException && thrown.name === 'NotAllowedError';
        onProblem(
          refused
            ? 'The camera was not allowed. Open a photo instead.'
            : 'No camera was found. Open a photo instead.',
        );
      }
    },
    stop() {
      turn++;
      switchOff();
      shown.hidden = true;
      state = 'off';
    },
    photo() {
      if (state === 'off') return undefined;
      if (state === 'live') {
        if (video.videoWidth === 0) return undefined;
        draw(video, video.videoWidth, video.videoHeight, context);
      }
      return context.getImageData(0, 0, photoSide, photoSide).data;
    },
  };
}
