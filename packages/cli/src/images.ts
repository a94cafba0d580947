import { readFile } from 'node:fs/promises';
import { type Pixels, TierwiseError } from '@tierwise/core';
import sharp from 'sharp';

/** Most pixels of a picture that is decoded: 100 megapixels. */
const pixelLimit = 100_000_000;

/**
 * Decodes a picture file (PNG, JPEG, WebP, GIF's first frame, AVIF, TIFF, SVG) to 8-bit RGBA, turned upright as its
 * EXIF orientation says and in sRGB, as a browser would show it.
 * @throws TierwiseError FILE_UNREADABLE | IMAGE_INVALID naming the file
 */
export async function readPicture(path: string): Promise<Pixels> {
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
  try {
    const { data, info } = await sharp(bytes, { limitInputPixels: pixelLimit, failOn: 'error' })
      .autoOrient()
      .toColourspace('srgb')
      .ensureAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return {
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      width: info.width,
      height: info.height,
    };
  } catch (cause) {
    throw new TierwiseError(
      'IMAGE_INVALID',
      `${path} is not a picture that can be decoded: ${(cause as Error).message}`,
      { file: path },
      { cause },
    );
  }
}
