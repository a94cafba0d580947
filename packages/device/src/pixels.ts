import { TierwiseError } from '@tierwise/core';
import type { Picture, RawPixels } from './api.ts';

/**
 * The picture's pixels. Raw pixels and ImageData are taken as they are; everything else is drawn at its own size
 * on a canvas and read back, RGBA.
 * @throws TierwiseError IMAGE_INVALID when it is no picture, not loaded yet, or from another site
 */
export function toPixels(picture: Picture): RawPixels {
  if (isRaw(picture)) return picture;
  const { width, height } = checkedSize(picture);
  try {
    const context = drawingContext(width, height);
    context.drawImage(picture as CanvasImageSource, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  } catch (cause) {
    throw unreadable(cause);
  }
}

export function unreadable(cause: unknown): TierwiseError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new TierwiseError('IMAGE_INVALID', `the picture cannot be read: ${message}`, {}, { cause });
}

/** Whether the pixels are there already. */
export function isRaw(picture: Picture): picture is RawPixels {
  return (
    typeof picture === 'object' &&
    picture !== null &&
    'data' in picture &&
    (picture.data instanceof Uint8Array || picture.data instanceof Uint8ClampedArray)
  );
}

/** Width and height in pixels, at least 1. @throws TierwiseError IMAGE_INVALID when it is no picture, or not loaded yet */
export function checkedSize(picture: Exclude<Picture, RawPixels>): { width: number; height: number } {
  const size = sizeOf(picture);
  const { width, height } = size;
  if (width > 0 && height > 0) return size;
  throw new TierwiseError(
    'IMAGE_INVALID',
    `the picture has no pixels (${width} x ${height}): is it loaded?`,
    { width, height },
  );
}

/** Width and height of what the picture shows, not of the box it is laid out in. */
function sizeOf(picture: Exclude<Picture, RawPixels>): { width: number; height: number } {
  if (typeof picture === 'object' && picture !== null) {
    if ('naturalWidth' in picture) return { width: picture.naturalWidth, height: picture.naturalHeight };
    if ('videoWidth' in picture) return { width: picture.videoWidth, height: picture.videoHeight };
    if ('displayWidth' in picture) return { width: picture.displayWidth, height: picture.displayHeight };
    if (!('data' in picture) && 'width' in picture) return picture;
  }
  throw new TierwiseError(
    'IMAGE_INVALID',
    'a picture is ImageData, {data, width, height} of bytes, a canvas, a bitmap, an image, a video or a frame',
  );
}

/** Fails in some way where there is no canvas, or none so large. */
function drawingContext(
  width: number,
  height: number,
): CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D {
  const options: CanvasRenderingContext2DSettings = { willReadFrequently: true };
  if (typeof OffscreenCanvas !== 'undefined') {
    return new OffscreenCanvas(width, height).getContext('2d', options)!;
  }
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  return canvas.getContext('2d', options)!;
}
