import { readFile } from 'node:fs/promises';
import { type Pixels, TierwiseError } from '@tierwise/core';
import sharp from 'sharp';

/** Most pixels of a picture that is decoded: 100 megapixels. */
const pixelLimit = 100_000_000;

/** A decoded picture, 8-bit RGBA, and what was lost on the way. */
export interface Picture extends Pixels {
  /** More than 1 for an animation, of which the first frame is here. */
  readonly frames: number;
  /** Whether it had 16 bits a sample, or was CMYK: 8 bits and sRGB are the nearest that is left. */
  readonly reduced: boolean;
}

/**
 * Decodes the bytes of a picture (PNG, JPEG, WebP, GIF, AVIF, TIFF, SVG) to 8-bit RGBA, turned upright as its EXIF
 * orientation says and in sRGB, as a browser would show it.
 * @throws TierwiseError IMAGE_INVALID naming `file`, also for pictures of more than 100 megapixels
 */
export async function decodePicture(bytes: Uint8Array, file: string): Promise<Picture> {
  try {
    const image = sharp(bytes, { limitInputPixels: pixelLimit, failOn: 'error' });
    const { pages = 1, depth, space } = await image.metadata();
    const { data, info } = await image
      .autoOrient()
      .toColourspace('srgb')
      .ensureAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return {
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      width: info.width,
      height: info.height,
      frames: pages,
      reduced: depth !== 'uchar' || space === 'cmyk',
    };
  } catch (cause) {
    throw new TierwiseError(
      'IMAGE_INVALID',
      `${file} is not a picture that can be decoded: ${(cause as Error).message}`,
      { file },
      { cause },
    );
  }
}

/**
 * Reads a picture file and decodes it.
 * @throws TierwiseError FILE_UNREADABLE | IMAGE_INVALID naming the file
 */
export async function readPicture(path: string): Promise<Picture> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new TierwiseError(
      'FILE_UNREADABLE',
      `${path} cannot be read: ${(cause as Error).message}`,
      { file: path },
      { cause },
    );
  }
  return decodePicture(bytes, path);
}
