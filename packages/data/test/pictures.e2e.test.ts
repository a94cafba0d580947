/**
 * Pictures as Node decodes them for training, and as a page sees them. From decoded pixels on both run the same code, so
 * only decoders can differ: PNG must not; JPEG leaves the rounding of its transform and colours to them.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { preprocess } from '@tierwise/core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decodePicture } from '../src/pictures.ts';

const data = process.env['TIERWISE_DATA'];
const folder = join(data ?? '', '../images');
const size = { channels: 3, height: 224, width: 224, scale: 1, mean: [0], std: [1] } as const;

let browser: Browser;
let page: Page;
beforeAll(async () => {
  browser = await chromium.launch({
    executablePath: process.env['TIERWISE_CHROME'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
  page = await browser.newPage();
});
afterAll(() => browser?.close());

/** The picture as Chromium draws it, RGBA. */
async function drawn(bytes: Uint8Array, type: string) {
  const url = `data:image/${type};base64,${Buffer.from(bytes).toString('base64')}`;
  const { text, width, height } = await page.evaluate(async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    const { naturalWidth, naturalHeight } = image;
    const context = new OffscreenCanvas(naturalWidth, naturalHeight).getContext('2d')!;
    context.drawImage(image, 0, 0);
    const { data: pixels } = context.getImageData(0, 0, naturalWidth, naturalHeight);
    const parts: string[] = [];
    for (let i = 0; i < pixels.length; i += 8192)
      parts.push(String.fromCharCode(...pixels.subarray(i, i + 8192)));
    return { text: btoa(parts.join('')), width: naturalWidth, height: naturalHeight };
  }, url);
  return { data: new Uint8Array(Buffer.from(text, 'base64')), width, height };
}

/** Differences of two pictures of one size, of 255. */
function differences(a: ArrayLike<number>, b: ArrayLike<number>): { most: number; mean: number } {
  expect(a.length).toBe(b.length);
  let most = 0;
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    most = Math.max(most, difference);
    sum += difference;
  }
  return { most, mean: sum / a.length };
}

test.skipIf(!data)('PNG gives the same pixels, JPEG nearly: at the size that a network takes', async () => {
  const files = (await readdir(folder)).filter((name) => /\.(png|jpg)$/.test(name));
  expect(files.some((name) => name.endsWith('png')) && files.some((name) => name.endsWith('jpg'))).toBe(true);
  for (const file of files) {
    const bytes = new Uint8Array(await readFile(join(folder, file)));
    const here = await decodePicture(bytes, file);
    const there = await drawn(bytes, file.endsWith('png') ? 'png' : 'jpeg');
    expect([there.width, there.height], file).toEqual([here.width, here.height]);
    const inputs = [here, there].map((picture) => preprocess(picture, size).data as Float32Array);
    const { most, mean } = differences(inputs[0]!, inputs[1]!);
    if (file.endsWith('png')) expect(most, file).toBe(0);
    // Of 255, as docs/attach.md states; a colour profile is what the two turn into sRGB differently.
    else
      expect([most <= 2, mean <= 0.1], `${file}: ${most} at most, ${mean} in the mean`).toEqual([true, true]);
  }
});
