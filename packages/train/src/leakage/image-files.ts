import type { Dataset } from '@tierwise/data';
import sharp, { type Sharp } from 'sharp';
import { psnr } from './likeness.ts';

/** Mean size of the pictures as files, and what JPEG keeps of them at its qualities. */
export interface ImageFiles {
  readonly pngBytes: number;
  /** At quality 80. */
  readonly jpegBytes: number;
  readonly jpegs: readonly Jpeg[];
}

export interface Jpeg {
  readonly quality: number;
  readonly bytes: number;
  readonly psnrDb: number | undefined;
}

const qualities = [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100];

/** The sample `index` of `data` as sharp takes it, its channels last. */
function rawOf(data: Dataset, index: number): { pixels: Uint8Array; image: Sharp } {
  const { channels, height, width } = data;
  const plane = height * width;
  const from = index * channels * plane;
  const pixels = Uint8Array.from(
    { length: channels * plane },
    (_, i) => data.images[from + (i % channels) * plane + Math.floor(i / channels)]!,
  );
  return { pixels, image: sharp(pixels, { raw: { width, height, channels } }) };
}

/** Of up to `most` of the pictures; PNG with the hardest compression, JPEG as mozjpeg writes it. */
export async function imageFiles(data: Dataset, most = 200): Promise<ImageFiles> {
  const samples = Math.min(most, data.samples);
  let png = 0;
  const files = qualities.map(() => ({ bytes: 0, truth: [] as Uint8Array[], read: [] as Uint8Array[] }));
  for (let i = 0; i < samples; i++) {
    const { pixels, image } = rawOf(data, i);
    png += (await image.clone().png({ compressionLevel: 9, effort: 10 }).toBuffer()).length;
    for (const [q, quality] of qualities.entries()) {
      const file = await image.clone().jpeg({ quality, mozjpeg: true }).toBuffer();
      const decoded = sharp(file);
      if (data.channels === 1) decoded.toColourspace('b-w');
      files[q]!.bytes += file.length;
      files[q]!.truth.push(pixels);
      files[q]!.read.push(await decoded.raw().toBuffer());
    }
  }
  const jpegs = files.map(({ bytes, truth, read }, q) => ({
    quality: qualities[q]!,
    bytes: bytes / samples,
    psnrDb: psnr(Buffer.concat(truth), Buffer.concat(read)),
  }));
  const usual = jpegs.find(({ quality }) => quality === 80)!;
  return { pngBytes: png / samples, jpegBytes: usual.bytes, jpegs };
}

/** A row of pictures [samples, channels, height, width] side by side, as a PNG. */
export function pictureStrip(data: Dataset): Promise<Buffer> {
  const { channels, height, width, samples, images } = data;
  const pixels = new Uint8Array(images.length);
  for (let i = 0; i < images.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width) % height];
    const plane = Math.floor(i / (width * height));
    const [sample, channel] = [Math.floor(plane / channels), plane % channels];
    pixels[((y * samples + sample) * width + x) * channels + channel] = images[i]!;
  }
  return sharp(pixels, { raw: { width: samples * width, height, channels } })
    .png({ compressionLevel: 9 })
    .toBuffer();
}
